"""The operator's commands. They need PostgreSQL only."""

import asyncio
import sys

from auth_service.lifecycle.bans import Bans
from auth_service.lifecycle.bans_store import BansStore
from auth_service.settings import AuthSettings
from shared import postgres
from shared.errors import ErrorCode, ServiceError
from shared.phone import PhoneKeys
from shared.process.startup import UnreachableError


def ban(settings: AuthSettings, user_id: int) -> None:
    """Ban an account: its sessions end, and it cannot log in."""
    changed = _run(settings, user_id, banned=True)
    sys.stdout.write(f"user {user_id} is banned\n" if changed else f"user {user_id} is already banned\n")


def unban(settings: AuthSettings, user_id: int) -> None:
    """Lift a ban: the account can log in again."""
    changed = _run(settings, user_id, banned=False)
    sys.stdout.write(f"user {user_id} is no longer banned\n" if changed else f"user {user_id} is not banned\n")


def _run(settings: AuthSettings, user_id: int, *, banned: bool) -> bool:
    """Set or lift the ban. Exits with status 1 and one line of explanation when that fails."""
    try:
        return asyncio.run(_set_banned(settings, user_id, banned=banned))
    except UnreachableError as error:
        reason = str(error)
    except ServiceError as error:
        not_found = error.code is ErrorCode.NOT_FOUND
        reason = f"there is no user {user_id}" if not_found else "PostgreSQL does not respond; try again"
    sys.stderr.write(f"auth-service: {reason}\n")
    raise SystemExit(1)


async def _set_banned(settings: AuthSettings, user_id: int, *, banned: bool) -> bool:
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=2) as pool:
        bans = Bans(BansStore(pool), phones)
        return await (bans.ban(user_id) if banned else bans.unban(user_id))
