"""The command ``accounts``: what an operator decides about the number of an account. It needs PostgreSQL only."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from auth_service.audit import Operator
from auth_service.commands import users
from auth_service.retirement.retirement import Retirement
from auth_service.retirement.retirement_store import RetirementStore
from auth_service.settings import AuthSettings
from shared import postgres
from shared.errors import ErrorCode, ServiceError
from shared.phone import E164, PhoneKeys, parse_any
from shared.process.startup import UnreachableError

REASONS = {
    ErrorCode.NO_ACCOUNT: "no account has this number, or it is banned",
    ErrorCode.NOT_FOUND: "there is no retired account of this user",
    ErrorCode.NUMBER_TAKEN: "an account has this number",
    ErrorCode.UNAVAILABLE: "the account is in use, or PostgreSQL does not respond; try again",
}


async def confirm(retirement: Retirement, options: argparse.Namespace) -> str:
    """You know the owner of a dormant account: codes let them in again."""
    return f"user {await retirement.confirm(options.number)} counts as seen now"


async def release(retirement: Retirement, options: argparse.Namespace) -> str:
    """The number belongs to someone else: its account keeps the user id and loses number and sessions."""
    return f"user {await retirement.release(options.number)} has no number any more"


async def restore(retirement: Retirement, options: argparse.Namespace) -> str:
    """Give an account that lost its number a new one, which must be free."""
    await retirement.restore(options.user_id, options.number)
    return f"user {options.user_id} has the number"


COMMANDS: dict[str, Callable[[Retirement, argparse.Namespace], Awaitable[str]]] = {
    "confirm": confirm,
    "release": release,
    "restore": restore,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The decisions, each a command of its own."""
    decisions = parser.add_subparsers(dest="decision", metavar="DECISION", required=True)
    for name, command in COMMANDS.items():
        decision = decisions.add_parser(name, help=command.__doc__, description=command.__doc__)
        if name == "restore":
            decision.add_argument("user_id", metavar="USER_ID", type=int, help="the user id, as in events")
        decision.add_argument("number", metavar="NUMBER", type=_number, help="the number, in any spelling")
        users.add_operator(decision)


def accounts(settings: AuthSettings, options: argparse.Namespace) -> None:
    """Decide about the number of an account: confirm its owner, release it, or restore it."""
    try:
        sys.stdout.write(asyncio.run(_decide(settings, options)) + "\n")
    except UnreachableError as error:
        _fail(str(error))
    except ServiceError as error:
        _fail(REASONS[error.code])


async def _decide(settings: AuthSettings, options: argparse.Namespace) -> str:
    phones = PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value()))
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=2) as pool:
        return await COMMANDS[options.decision](
            Retirement(RetirementStore(pool, phones, Operator(options.by, options.reason))), options
        )


def _fail(reason: str) -> None:
    sys.stderr.write(f"auth-service: {reason}\n")
    raise SystemExit(1)


def _number(text: str) -> E164:
    try:
        return parse_any(text)
    except ServiceError:
        raise argparse.ArgumentTypeError("not a phone number") from None
