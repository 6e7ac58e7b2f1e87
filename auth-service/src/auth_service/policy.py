"""``python -m auth_service policy``: what the settings promise about log-ins with a password."""

from collections.abc import Iterator
from datetime import timedelta

from auth_service.settings import AuthSettings
from shared.process.policy import PolicyLine, windows_in_a_day
from shared.process.settings import OnOff

WINDOW = timedelta(minutes=15)
"""Of failed log-ins, as ``start_check.sql`` counts them."""


def lines(settings: AuthSettings) -> list[PolicyLine]:
    """All promises about log-ins."""
    is_limited = settings.caller_limits is OnOff.ON
    return [*_guesses(settings, is_limited=is_limited), *_keeping_out(settings, is_limited=is_limited)]


def _guesses(settings: AuthSettings, *, is_limited: bool) -> Iterator[PolicyLine]:
    a_day = windows_in_a_day(WINDOW / timedelta(hours=1)) * settings.caller_failed_logins_per_number
    yield PolicyLine(
        topic="guess",
        name="guess.password.network",
        who="the password of one number, from one network",
        at_most=a_day if is_limited else None,
        unit="guesses a day",
        note=f"{settings.caller_failed_logins_per_number} in {_minutes(WINDOW)}" if is_limited else "CALLER_LIMITS=off",
        call="log_in",
    )
    yield PolicyLine(
        topic="guess",
        name="guess.password.strangers",
        who="the password of one number, from any number of networks",
        at_most=None,
        unit="guesses a day",
        note="each network has its own",
        call="log_in",
    )


def _keeping_out(settings: AuthSettings, *, is_limited: bool) -> Iterator[PolicyLine]:
    yield PolicyLine(
        topic="keep-out",
        name="keep-out.log-in.owner",
        who="an owner from a log-in with the password, by strangers in any number of other networks",
        at_most=0,
        unit="refused",
        note="failed log-ins count on the network that they come from",
        call="log_in",
    )
    seconds = WINDOW.total_seconds() if is_limited else 0
    yield PolicyLine(
        topic="keep-out",
        name="keep-out.log-in.neighbour",
        who="an owner from a log-in with the password in one network, by people in the same network",
        at_most=seconds,
        unit="s, which can be renewed",
        cost=f"{settings.caller_failed_logins_per_number} failed log-ins from that network" if is_limited else "",
        note="a code logs in",
        call="log_in",
    )
    yield PolicyLine(
        topic="keep-out",
        name="keep-out.log-in.everybody",
        who="everyone in one network from a log-in with the password, by people in the same network",
        at_most=seconds,
        unit="s, which can be renewed",
        cost=f"{settings.caller_failed_logins_per_network} failed log-ins from that network" if is_limited else "",
        note="a code logs in; other networks are not affected",
        call="log_in",
    )


def _minutes(window: timedelta) -> str:
    return f"{window.total_seconds() / 60:g} minutes"
