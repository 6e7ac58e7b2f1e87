"""The operator's commands that change an account. Each asks who uses it and why, for the audit log."""

import argparse
import asyncio
import re
import sys
from collections.abc import Awaitable, Callable

import structlog

from auth_service.accounts.user_ids import USER_IDS
from auth_service.audit import ERASED, AuditEntry, Operator
from auth_service.client_context import OPERATOR
from auth_service.erasure.erasure_store import ErasureStore
from auth_service.lifecycle.bans import Bans
from auth_service.lifecycle.bans_store import BansStore
from auth_service.settings import AuthSettings
from shared import postgres
from shared.errors import ErrorCode, ServiceError
from shared.phone import PhoneKeys
from shared.process.startup import UnreachableError

MAX_NAME = 64
MAX_REASON = 200
Change = Callable[[postgres.Pool, PhoneKeys, int, Operator], Awaitable[bool]]
log = structlog.get_logger()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every command here."""
    parser.add_argument("user_id", metavar="USER_ID", type=int, help="the user id, as in events")
    add_operator(parser)


def add_operator(parser: argparse.ArgumentParser) -> None:
    """Who uses a command that changes an account, and why."""
    parser.add_argument("--by", required=True, type=_name, metavar="NAME", help="who you are, for the audit log")
    parser.add_argument(
        "--reason", required=True, type=_reason, metavar="TEXT", help="why, for the audit log, such as a ticket number"
    )


def ban(settings: AuthSettings, user_id: int, operator: Operator) -> None:
    """Ban an account: its sessions end, and it cannot log in."""
    changed = _run(settings, user_id, operator, _ban)
    sys.stdout.write(f"user {user_id} is banned\n" if changed else f"user {user_id} is already banned\n")


def unban(settings: AuthSettings, user_id: int, operator: Operator) -> None:
    """Lift a ban: the account can log in again."""
    changed = _run(settings, user_id, operator, _unban)
    sys.stdout.write(f"user {user_id} is no longer banned\n" if changed else f"user {user_id} is not banned\n")


def erase(settings: AuthSettings, user_id: int, operator: Operator) -> None:
    """Erase an account, banned or not, with all that belongs to it. This cannot be undone."""
    _run(settings, user_id, operator, _erase)
    sys.stdout.write(f"user {user_id} is erased\n")


async def _ban(pool: postgres.Pool, phones: PhoneKeys, user_id: int, operator: Operator) -> bool:
    return await Bans(BansStore(pool), phones).ban(user_id, operator)


async def _unban(pool: postgres.Pool, phones: PhoneKeys, user_id: int, operator: Operator) -> bool:
    return await Bans(BansStore(pool), phones).unban(user_id, operator)


async def _erase(pool: postgres.Pool, phones: PhoneKeys, user_id: int, operator: Operator) -> bool:
    """The audit log keeps who erased an account and why, and not whose it was. The running service publishes it."""
    entry = AuditEntry(ERASED, None, OPERATOR, operator=operator)
    store = ErasureStore(pool, phones, lambda: None)
    if user_id not in USER_IDS or not await store.erase_any(user_id, entry):
        raise ServiceError(ErrorCode.NOT_FOUND)
    log.info("account.erased", user_id=user_id, operator=operator.name)
    return True


def _run(settings: AuthSettings, user_id: int, operator: Operator, change: Change) -> bool:
    """Change an account. Exits with status 1 and one line of explanation when that fails."""
    try:
        return asyncio.run(_with_pool(settings, user_id, operator, change))
    except UnreachableError as error:
        reason = str(error)
    except ServiceError as error:
        not_found = error.code is ErrorCode.NOT_FOUND
        reason = f"there is no user {user_id}" if not_found else "PostgreSQL does not respond; try again"
    sys.stderr.write(f"auth-service: {reason}\n")
    raise SystemExit(1)


async def _with_pool(settings: AuthSettings, user_id: int, operator: Operator, change: Change) -> bool:
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=2) as pool:
        return await change(pool, phones, user_id, operator)


def _name(text: str) -> str:
    return _text(text, MAX_NAME)


def _reason(text: str) -> str:
    if re.search(r"(?:[0-9][ -]?){8}", text):
        raise argparse.ArgumentTypeError("write no phone number into the audit log")
    return _text(text, MAX_REASON)


def _text(text: str, longest: int) -> str:
    text = text.strip()
    if not text or len(text) > longest or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected 1 to {longest} printable characters")
    return text
