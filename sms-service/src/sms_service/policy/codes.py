"""The promises about codes: guesses, strangers who want to keep others from them, and look-ups."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from shared.policy.lines import DAY_HOURS, PolicyLine, in_first_day, windows_in_a_day
from sms_service.callers.limits import DEFAULT_LIMITS, CallerLimitValues, Limit, kept_for_known
from sms_service.otp import DIGITS
from sms_service.policy.dialects import DialectRules
from sms_service.settings import CallerSettings
from sms_service.verification.limits import (
    FAILURES_BY_SESSIONS,
    FAILURES_FROM_ONE_NETWORK,
    FAILURES_PER_WINDOW,
    NETWORK_FAILURE_WINDOW,
    RESERVED_TRY_INTERVAL,
    TRIES_PER_CODE,
)
from sms_service.verification.send_limits import (
    EXTRA_SEND_INTERVAL,
    MAX_SENDS_WITHOUT_ACCOUNT,
    SENDS_BY_ONE_STRANGER,
    SENDS_BY_SESSIONS,
    SENDS_BY_STRANGERS,
    SENDS_PER_WINDOW,
    WINDOW,
)

HOSTILE_NETWORKS = 10
"""How many networks an attacker has who tries to keep a number without an account from a code."""


def guesses(settings: CallerSettings) -> Iterator[PolicyLine]:
    """How many codes are compared for an attacker in a day."""
    yield _guesses_of_strangers(settings)
    yield _guesses(
        "guess.code.neighbour",
        "a code of a number with an account, people in a network that is known to it, with the help of strangers",
        2 * FAILURES_PER_WINDOW,
        f"{FAILURES_PER_WINDOW} as known callers, {FAILURES_PER_WINDOW} as strangers",
    )
    yield _guesses_without_account()
    if settings.caller_limit_values is not None:
        yield from _guesses_over_numbers(settings, settings.caller_limit_values)


def _guesses_of_strangers(settings: CallerSettings) -> PolicyLine:
    return _guesses(
        "guess.code.strangers",
        "a code of a number with an account, strangers in any number of networks",
        FAILURES_PER_WINDOW,
        f"{FAILURES_FROM_ONE_NETWORK} of these from one network" if settings.limits_callers else "",
    )


def _guesses_without_account() -> PolicyLine:
    reserved = int(WINDOW / RESERVED_TRY_INTERVAL)
    return _guesses(
        "guess.code.unowned",
        "a code of a number without an account, strangers in any number of networks",
        FAILURES_PER_WINDOW + reserved + MAX_SENDS_WITHOUT_ACCOUNT,
        f"{FAILURES_PER_WINDOW}, one every {_text(RESERVED_TRY_INTERVAL)}, and one for each code that was sent",
    )


def _guesses_over_numbers(settings: CallerSettings, limits: CallerLimitValues) -> Iterator[PolicyLine]:
    windows = windows_in_a_day(NETWORK_FAILURE_WINDOW / timedelta(hours=1))
    incorrect = windows * settings.caller_wrong_codes_per_network_hour
    slowed = f"after {settings.caller_wrong_codes_per_hour:,} incorrect codes of all networks in an hour, a tenth"
    yield _guesses("guess.code.spread", "codes of any numbers with an account, from one network", incorrect, slowed)
    yield _guesses(
        "guess.code.spread-unowned",
        "codes of any numbers without an account, from one network",
        incorrect + _a_day(limits.network_sends),
        f"{incorrect:,} of these as above, and one for each code that was sent there",
    )


def _guesses(name: str, who: str, at_most: int, note: str) -> PolicyLine:
    chance = f"a chance of {100 * at_most / 10**DIGITS:.10g} %"
    return PolicyLine(
        topic="guess",
        name=name,
        who=who,
        at_most=at_most,
        unit="guesses a day",
        note="; ".join(filter(None, (chance, note))),
    )


def keeping_out(settings: CallerSettings, dialects: Sequence[DialectRules]) -> Iterator[PolicyLine]:
    """What strangers, and people in the owner's network, can do against a number."""
    for dialect in dialects:
        yield _owner(dialect)
        yield _cooldown(dialect)
    yield LIVE_CODE
    yield STOLEN_SESSION
    yield NEWCOMER
    yield _neighbour(dialects)
    yield _everybody(settings.caller_limit_values)
    yield _unowned(settings)
    yield USED_CODE


LIVE_CODE = PolicyLine(
    topic="keep-out",
    name="keep-out.code.live",
    who="an owner from a code that was sent, by incorrect tries of strangers",
    at_most=0,
    unit="refused",
    note=f"strangers have {TRIES_PER_CODE} tries at a code, and known callers {TRIES_PER_CODE} of their own",
)
STOLEN_SESSION = PolicyLine(
    topic="keep-out",
    name="keep-out.code.session",
    who="an owner in a known network from codes, by someone elsewhere with a stolen session, and by strangers",
    at_most=0,
    unit="refused",
    note=f"sessions can use {SENDS_BY_SESSIONS} sends a day and {FAILURES_BY_SESSIONS} incorrect tries; they and "
    f"strangers leave {SENDS_PER_WINDOW - SENDS_BY_STRANGERS - SENDS_BY_SESSIONS} sends and "
    f"{FAILURES_PER_WINDOW - FAILURES_BY_SESSIONS} tries to known networks",
)
NEWCOMER = PolicyLine(
    topic="keep-out",
    name="keep-out.code.newcomer",
    who="anyone from registering a number, by incorrect codes of others in the same network",
    at_most=0,
    unit="refused",
    note="each code that is asked for there has one try; strangers wait there for the code of a number with an account",
)
USED_CODE = PolicyLine(
    topic="reuse",
    name="reuse.code.elsewhere",
    who="a used code, or the ticket that was made with it, from another network",
    at_most=0,
    unit="log-ins",
)


def _owner(dialect: DialectRules) -> PolicyLine:
    left = min(SENDS_PER_WINDOW - SENDS_BY_STRANGERS, dialect.daily_cap)
    one = f", {SENDS_BY_ONE_STRANGER} of one network"
    return PolicyLine(
        topic="keep-out",
        name="keep-out.code.owner",
        who="a known owner from codes, by strangers in any number of networks",
        at_most=0 if left > 0 else WINDOW.total_seconds(),
        unit="refused",
        note=f"strangers can use {SENDS_BY_STRANGERS} of {SENDS_PER_WINDOW} sends a day{one}, and tries of their own; "
        f"an owner gets {left} codes a day in any case",
        dialects=_names(dialect),
    )


def _cooldown(dialect: DialectRules) -> PolicyLine:
    return PolicyLine(
        topic="keep-out",
        name="keep-out.code.cooldown",
        who="a known owner for the cooldown of codes that strangers request",
        at_most=SENDS_BY_STRANGERS * dialect.cooldown,
        unit="s a day",
        cost=f"{SENDS_BY_STRANGERS} requests, {_networks_for(SENDS_BY_STRANGERS, SENDS_BY_ONE_STRANGER)} networks",
        note="each of these codes reaches the owner's phone, and works there",
        dialects=_names(dialect),
    )


def _neighbour(dialects: Sequence[DialectRules]) -> PolicyLine:
    codes = _networks_for(FAILURES_PER_WINDOW, TRIES_PER_CODE)
    seconds = (codes - 1) * min(dialect.cooldown for dialect in dialects)
    return PolicyLine(
        topic="keep-out",
        name="keep-out.code.neighbour",
        who="an owner from codes, by people in a network that is known to the number (the same carrier's NAT)",
        at_most=WINDOW.total_seconds(),
        unit="s",
        cost=f"{codes + FAILURES_PER_WINDOW} requests from that network within {seconds} s: {codes} codes, "
        f"{FAILURES_PER_WINDOW} incorrect tries",
        note="nothing tells these people and the owner apart; a password still logs in",
    )


def _everybody(limits: CallerLimitValues | None) -> PolicyLine:
    """Owners behind one address, as in a carrier's NAT, and the people there who ask for codes of other numbers."""
    kept = kept_for_known((limits or DEFAULT_LIMITS).address_sends)
    return PolicyLine(
        topic="keep-out",
        name="keep-out.code.everybody",
        who="owners from codes behind an address that is known to their numbers, by requests of strangers there",
        at_most=0,
        unit="refused",
        cost="CALLER_LIMITS=off"
        if limits is None
        else f"as many requests as an address may make; then {kept.allowed} codes an hour are left for known callers",
        note=f"people there with accounts can use these up: {SENDS_PER_WINDOW} a day with each number of theirs",
    )


def _unowned(settings: CallerSettings) -> PolicyLine:
    by_sends = (MAX_SENDS_WITHOUT_ACCOUNT - SENDS_PER_WINDOW) * EXTRA_SEND_INTERVAL
    networks = MAX_SENDS_WITHOUT_ACCOUNT if settings.limits_callers else 1
    possible = settings.limits_callers
    return PolicyLine(
        topic="keep-out",
        name="keep-out.code.unowned",
        who=f"anyone from registering a number without an account, by strangers in {HOSTILE_NETWORKS} networks",
        at_most=max(by_sends, RESERVED_TRY_INTERVAL).total_seconds() if possible else WINDOW.total_seconds(),
        unit="s",
        cost=f"{MAX_SENDS_WITHOUT_ACCOUNT} requests that send {MAX_SENDS_WITHOUT_ACCOUNT} messages",
        note=f"strangers in {networks} networks keep such a number from codes until its sends are a day old",
    )


def look_ups(limits: CallerLimitValues | None) -> Iterator[PolicyLine]:
    """How many numbers one network can ask about in a day: by look-ups, and by requests for codes."""
    for name, who in (("network", "a /24 of IPv4 or a /56 of IPv6"), ("site", "a /48 of IPv6")):
        counted = () if limits is None else (getattr(limits, f"{name}_lookups"), getattr(limits, f"{name}_sends"))
        yield PolicyLine(
            topic="learn",
            name=f"learn.look-ups.{name}",
            who=f"numbers with an account, from {who}",
            at_most=sum(map(_a_day, counted)) if counted else None,
            unit="numbers a day",
            note=_note(*counted) if counted else "CALLER_LIMITS=off",
            call="existence",
        )


def _a_day(limit: Limit) -> int:
    return in_first_day(limit.allowed, limit.allowed * 3600 // limit.period)


def _note(lookups: Limit, sends: Limit) -> str:
    at_once = f"{lookups.allowed:,} look-ups and {sends.allowed:,} requests for codes at once"
    return f"{at_once}, and so many in each of {DAY_HOURS} hours"


def _names(dialect: DialectRules) -> tuple[str, ...]:
    return (dialect.name,) if dialect.name else ()


def _networks_for(count: int, by_one: int) -> int:
    return -(-count // by_one)


def _text(interval: timedelta) -> str:
    return f"{interval.total_seconds() / 3600:g} hours"
