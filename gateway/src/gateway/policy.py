"""``python -m gateway policy``: the contracts that are switched on, and which calls of theirs can be attacked."""

import json
import sys
from collections.abc import Iterable

from gateway.dialect import Dialect
from gateway.dialect_registry import choose, installed_dialects
from gateway.settings import GatewaySettings
from shared.errors import ErrorCode
from shared.policy.lines import Call

SIGNS: dict[Call, frozenset[ErrorCode]] = {
    "code": frozenset({ErrorCode.DAILY_CAP}),
    "existence": frozenset({ErrorCode.DAILY_CAP, ErrorCode.NUMBER_TAKEN}),
    "log_in": frozenset({ErrorCode.CREDENTIALS_REFUSED, ErrorCode.NUMBER_REFUSED}),
    "contacts": frozenset({ErrorCode.CONTACT_BUDGET}),
}
"""A contract has a call if one of its operations declares all of these refusals."""


def calls_of(dialect: Dialect, *, tells_accounts: bool) -> list[Call]:
    """Which of the calls a contract has. Unless the gateway tells accounts, none tells whether a number has one."""
    found: list[Call] = [
        call for call, signs in SIGNS.items() if any(signs <= operation.refusals for operation in dialect.routes)
    ]
    return [call for call in found if tells_accounts or call != "existence"]


def describe(dialects: Iterable[Dialect], *, tells_accounts: bool) -> list[dict[str, object]]:
    """The rules and the calls of each contract."""
    return [
        {
            "name": dialect.name,
            "cooldown": dialect.cooldown,
            "daily_cap": dialect.daily_cap,
            "calls": calls_of(dialect, tells_accounts=tells_accounts),
        }
        for dialect in dialects
    ]


def print_policy(settings: GatewaySettings, *, as_json: bool) -> None:
    """Print what the other services have to be told."""
    found = describe(choose(installed_dialects(), settings.dialects), tells_accounts=settings.tells_accounts)
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if as_json else "".join(map(_line, found)))


def _line(dialect: dict[str, object]) -> str:
    calls = ", ".join(map(str, dialect["calls"])) if isinstance(dialect["calls"], list) else ""
    return f"{dialect['name']}: cooldown {dialect['cooldown']} s, {dialect['daily_cap']} codes a day; {calls}\n"
