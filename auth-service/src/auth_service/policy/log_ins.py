"""The promises about log-ins with a password: ``python -m auth_service policy``."""

from datetime import timedelta

from auth_service.passwords.login_limits import DAY, HOUR, WINDOW
from auth_service.settings import AuthSettings
from shared.policy.lines import PolicyLine, in_first_day
from shared.process.settings import OnOff

NO_LIMITS = "CALLER_LIMITS=off"


def lines(settings: AuthSettings) -> list[PolicyLine]:
    """All promises about log-ins."""
    is_limited = settings.caller_limits is OnOff.ON
    return [
        _guesses_of_neighbours(settings.caller_failed_logins_per_number, is_limited=is_limited),
        _guesses_of_strangers(settings.caller_failed_logins_per_number_day, is_limited=is_limited),
        KEEPING_OWNERS_OUT,
        BEING_KNOWN_AFTER_A_RESET,
        _keeping_a_neighbour_out(settings.caller_failed_logins_per_number, is_limited=is_limited),
        _keeping_neighbours_out(settings.caller_failed_logins_per_network, is_limited=is_limited),
    ]


KEEPING_OWNERS_OUT = PolicyLine(
    topic="keep-out",
    name="keep-out.log-in.owner",
    who="an owner from a log-in with the password in a network that is known to the number, by strangers elsewhere",
    at_most=0,
    unit="refused",
    note="a right password from a known network passes every limit that strangers can use up",
    call="log_in",
)


BEING_KNOWN_AFTER_A_RESET = PolicyLine(
    topic="keep-out",
    name="keep-out.code.intruder",
    who="an owner from codes, by someone who had logged in before the owner set a new password, from where they were",
    at_most=0,
    unit="refused",
    note="a new password, a new number and the end of all sessions leave only the network known where they were done",
)


def _guesses_of_neighbours(at_once: int, *, is_limited: bool) -> PolicyLine:
    return PolicyLine(
        topic="guess",
        name="guess.password.neighbour",
        who="the password of one number, from a network that is known to it",
        at_most=in_first_day(at_once, int(at_once * HOUR / WINDOW)) if is_limited else None,
        unit="guesses a day",
        note=f"{at_once} at once, and one more every {_text(WINDOW / at_once)}" if is_limited else NO_LIMITS,
        call="log_in",
    )


def _guesses_of_strangers(a_day: int, *, is_limited: bool) -> PolicyLine:
    return PolicyLine(
        topic="guess",
        name="guess.password.strangers",
        who="the password of one number, from any number of other networks",
        at_most=2 * a_day if is_limited else None,
        unit="guesses a day",
        note=f"{a_day} at once, and one more every {_text(DAY / a_day)}" if is_limited else NO_LIMITS,
        call="log_in",
    )


def _keeping_a_neighbour_out(per_number: int, *, is_limited: bool) -> PolicyLine:
    return PolicyLine(
        topic="keep-out",
        name="keep-out.log-in.neighbour",
        who="an owner from a log-in with the password in one network, by people in the same network",
        at_most=(WINDOW / per_number).total_seconds() if is_limited else 0,
        unit="s, which can be renewed",
        cost=f"{per_number} failed log-ins from that network" if is_limited else "",
        note="a code logs in",
        call="log_in",
    )


def _keeping_neighbours_out(per_network: int, *, is_limited: bool) -> PolicyLine:
    return PolicyLine(
        topic="keep-out",
        name="keep-out.log-in.everybody",
        who="owners from a log-in with the password in a network that is known to their numbers, by people in it",
        at_most=0,
        unit="s",
        note=f"after {per_network} failed log-ins, others there need a code" if is_limited else NO_LIMITS,
        call="log_in",
    )


def _text(interval: timedelta) -> str:
    seconds = interval.total_seconds()
    return f"{seconds:g} s" if seconds < 600 else f"{seconds / 60:g} minutes"
