"""What an operator does from the command line. It needs PostgreSQL and nothing else."""

import asyncio
import sys

from auth_service.lifecycle.ban_store import BanStore
from auth_service.lifecycle.bans import Bans
from auth_service.settings import AuthSettings
from shared import postgres
from shared.errors import ErrorCode, ServiceError
from shared.phone import PhoneKeys
from shared.process.startup import UnreachableError


def ban(settings: AuthSettings, user_id: int) -> None:
    """Shut an account: its sessions end and it cannot log in."""
    changed = _do(settings, user_id, banned=True)
    sys.stdout.write(f"user {user_id} is banned\n" if changed else f"user {user_id} was banned already\n")


def unban(settings: AuthSettings, user_id: int) -> None:
    """Let a banned account log in again."""
    changed = _do(settings, user_id, banned=False)
    sys.stdout.write(f"user {user_id} is no longer banned\n" if changed else f"user {user_id} was not banned\n")


def _do(settings: AuthSettings, user_id: int, *, banned: bool) -> bool:
    """Do it, or leave with exit status 1 and one line that says why not."""
    try:
        return asyncio.run(_set_banned(settings, user_id, banned=banned))
    except UnreachableError as error:
        reason = str(error)
    except ServiceError as error:
        unknown = error.code is ErrorCode.NOT_FOUND
        reason = f"there is no user {user_id}" if unknown else "PostgreSQL does not answer, try again"
    sys.stderr.write(f"auth-service: {reason}\n")
    raise SystemExit(1)


async def _set_banned(settings: AuthSettings, user_id: int, *, banned: bool) -> bool:
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=2) as pool:
        bans = Bans(BanStore(pool), phones)
        return await (bans.ban(user_id) if banned else bans.unban(user_id))
