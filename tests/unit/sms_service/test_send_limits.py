"""When a number may get another code, and for whom: pure rules, with the time passed in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import ErrorCode, ServiceError
from sms_service.verification.send_limits import (
    KNOWN,
    MAX_SENDS_WITHOUT_ACCOUNT,
    SESSION,
    TEST_SENDS_PER_WINDOW,
    WINDOW,
    Requester,
    Send,
    cooling_sends,
    is_within_share,
    recent,
    refuse_cooldown,
    refuse_daily_cap,
    refuse_test_cap,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
HOUR = 3600


def sent(*, network: str = "a stranger", dialect: str = "native", is_withheld: bool = False, **past: float) -> Send:
    return Send(NOW - timedelta(**past), network, dialect, is_withheld)


def known(**past: float) -> Send:
    return sent(network=KNOWN, **past)


def asking(
    network: str = "", *, registered: bool = False, dialect: str = "native", cap: int = 10, proven: tuple[str, ...] = ()
) -> Requester:
    return Requester(dialect, cap, registered, network, proven)


OWNER = asking(KNOWN, registered=True)


def stranger(network: str = "a stranger") -> Requester:
    return asking(network, registered=True)


def refused(sends: Sequence[Send], requester: Requester, *, now: datetime = NOW) -> int | None:
    """The seconds to wait, or None if a code may be sent."""
    try:
        refuse_daily_cap(sends, requester, now)
    except ServiceError as error:
        assert error.code is ErrorCode.DAILY_CAP
        return error.retry_after
    return None


def cooling(sends: Sequence[Send], cooldown: int = 60) -> int | None:
    try:
        refuse_cooldown(sends, cooldown, NOW)
    except ServiceError as error:
        assert error.code is ErrorCode.COOLDOWN
        return error.retry_after
    return None


@pytest.mark.parametrize(
    ("since", "cooldown", "left"),
    [(0, 60, 60), (0.001, 60, 60), (1, 60, 59), (59.5, 60, 1), (59.999999, 60, 1), (60, 60, None), (60, 120, 60)],
)
def test_the_cooldown_is_in_whole_seconds_and_ends_on_time(since: float, cooldown: int, left: int | None) -> None:
    assert cooling([sent(seconds=since)], cooldown) == left


def test_the_cooldown_counts_from_the_last_send_in_any_order_for_anyone() -> None:
    assert cooling([sent(seconds=10), known(hours=3), sent(seconds=50, dialect="tel")]) == 50


def test_what_is_withheld_starts_no_cooldown_for_known_callers_and_shows_it_to_no_other() -> None:
    sends = [sent(minutes=9), sent(minutes=6), sent(seconds=5, is_withheld=True)]
    assert cooling(cooling_sends(sends, OWNER)) is None
    for each in (stranger(), stranger("another"), asking("another"), asking()):
        assert cooling(cooling_sends(sends, each)) == 55
    assert cooling(cooling_sends([*sends, known(seconds=15)], OWNER)) == 45


def test_codes_that_strangers_were_sent_before_a_registration_start_a_cooldown_for_the_new_owner() -> None:
    """At a number without an account strangers get more than the share that they have at one with an account."""
    sends = [sent(network=f"n{n}", minutes=9 - n) for n in range(9)] + [sent(network="n9", seconds=5)]
    assert cooling(cooling_sends(sends, OWNER)) == 55


def test_strangers_hold_a_known_caller_in_the_cooldown_for_six_codes_a_day_however_often_they_ask() -> None:
    """Each of 20 networks asks as soon as its turn comes, for two days, and accounts are disclosed after proof."""
    sends, cooling_minutes = list[Send](), [0, 0]
    for minute in range(2 * 24 * 60):
        now, network = NOW + timedelta(minutes=minute), f"n{minute % 20}"
        if refused(sends, asking(network), now=now) is None:
            sends.append(Send(now, network, "native", not is_within_share(sends, asking(network), now)))
        started = [send for send in cooling_sends(sends, OWNER) if send.at > now - timedelta(seconds=60)]
        cooling_minutes[minute // (24 * 60)] += bool(started)
    assert len(sends) > 30
    assert cooling_minutes[0] == 6
    assert cooling_minutes[1] <= 6


def test_a_number_without_sends_is_not_refused() -> None:
    assert cooling([]) is None
    for requester in (OWNER, stranger(), asking(), asking("a stranger")):
        assert refused([], requester) is None


def test_the_cap_ends_when_the_oldest_send_that_fills_it_leaves_the_window() -> None:
    sends = [known(hours=hours) for hours in range(1, 11)]
    assert refused(sends, OWNER) == 14 * HOUR
    assert refused(sends[:9], OWNER) is None


def test_a_send_leaves_the_window_after_exactly_a_day() -> None:
    edge = sent(hours=24)
    assert recent([edge, sent(hours=24, microseconds=-1), sent()], NOW) == (sent(hours=24, microseconds=-1), sent())
    assert refused([edge], asking(cap=1)) is None
    assert refused([Send(edge.at + TICK, "", "native")], asking(cap=1)) == 1


def test_a_dialect_counts_what_it_asked_for_itself() -> None:
    others = [sent(hours=hours) for hours in range(1, 8)]
    own = [sent(hours=hours, dialect="tel") for hours in (9, 10, 11)]
    tel = asking(dialect="tel", cap=3)
    assert refused(others, tel) is None
    assert refused(others + own[:2], tel) is None
    assert refused(own, tel) == 13 * HOUR
    assert refused(own, asking()) is None


def test_strangers_cannot_use_up_the_cap_of_a_dialect_for_the_owner_of_a_number() -> None:
    by_strangers = [sent(hours=hours, network=f"stranger {hours}", dialect="tel") for hours in (9, 10, 11)]
    by_owner = [sent(hours=hours, network=KNOWN, dialect="tel") for hours in (2, 3, 4)]
    owner = asking(KNOWN, registered=True, dialect="tel", cap=3)
    assert refused(by_strangers, owner) is None
    assert refused(by_strangers + by_owner[:2], owner) is None
    assert refused(by_strangers + by_owner, owner) == 20 * HOUR
    assert refused(by_strangers, asking("another", registered=True, dialect="tel", cap=3)) == 13 * HOUR


@pytest.mark.parametrize("own", ["home", ""])
def test_one_caller_is_refused_from_the_fourth_code_of_a_dialect_on_whether_known_by_then_or_not(own: str) -> None:
    before = sent(hours=9, network=own, dialect="tel")
    after = [sent(hours=hours, network=KNOWN, dialect="tel") for hours in (4, 3, 2)]
    owner = asking(KNOWN, registered=True, dialect="tel", cap=3, proven=(own,))
    by_session = asking(SESSION, registered=True, dialect="tel", cap=3)
    assert refused([before, *after[:1]], owner) is None
    assert refused([before, *after[:2]], owner) == 15 * HOUR
    assert refused([before, *after[:2]], by_session) is None, "elsewhere those are strangers"
    assert refused([before, *after], by_session) == 20 * HOUR
    assert refused([before, *after[:2]], asking("elsewhere", registered=True, dialect="tel", cap=3)) == 15 * HOUR


def test_sessions_have_two_sends_and_then_make_no_caller_known() -> None:
    requester = replace(asking(SESSION, registered=True), stranger_network="the thief's")
    used = [sent(network=SESSION, hours=hours) for hours in (25, 24, 3, 2)]
    assert requester.is_known
    assert requester.in_open_lane(used[:3], NOW) is requester
    shut = requester.in_open_lane(used, NOW)
    assert (shut.network, shut.is_known, refused(used, shut)) == ("the thief's", False, None)
    assert OWNER.in_open_lane(used, NOW) is OWNER


def test_what_sessions_asked_for_counts_in_the_cap_of_a_dialect_for_sessions_only() -> None:
    sends = [sent(network=SESSION, hours=hours, dialect="tel") for hours in (4, 3)] + [
        sent(network=KNOWN, hours=2, dialect="tel")
    ]
    at_home, elsewhere = (asking(lane, registered=True, dialect="tel", cap=3) for lane in (KNOWN, SESSION))
    assert refused(sends, at_home) is None
    assert refused(sends, elsewhere) == 20 * HOUR


def test_strangers_cannot_use_up_the_cap_of_a_dialect_at_a_number_without_an_account() -> None:
    by_strangers = [sent(hours=hours, network=f"stranger {hours}", dialect="tel") for hours in (9, 10, 11)]
    own = [sent(hours=hours, network="honest", dialect="tel") for hours in (2, 3, 4)]
    honest = asking("honest", dialect="tel", cap=3)
    assert refused(by_strangers, honest) is None
    assert refused(by_strangers + own, honest) == 20 * HOUR


def test_no_dialect_can_raise_the_cap_above_ten() -> None:
    sends = [known(hours=hours) for hours in range(1, 11)]
    assert refused(sends, asking(KNOWN, registered=True, cap=50)) == 14 * HOUR


def test_strangers_can_use_six_sends_of_a_number_with_an_account_and_its_owner_the_rest() -> None:
    sends = [sent(hours=hours, network=f"stranger {hours}") for hours in range(1, 7)]
    assert refused(sends[:5], stranger()) is None
    assert refused(sends, stranger()) == 18 * HOUR
    assert refused(sends, asking(registered=True)) == 18 * HOUR, "without a network"
    assert refused(sends + [known(minutes=minutes) for minutes in (9, 8, 7)], OWNER) is None
    assert refused(sends + [known(minutes=minutes) for minutes in (9, 8, 7, 6)], OWNER) == 18 * HOUR


def test_sends_of_the_owner_leave_strangers_what_is_left_of_ten() -> None:
    sends = [known(hours=hours) for hours in range(1, 10)]
    assert refused(sends, stranger()) is None
    assert refused([*sends, known(hours=10)], stranger()) == 14 * HOUR


def test_one_network_of_strangers_can_use_two_sends_of_a_number_with_an_account() -> None:
    sends = [sent(hours=5), sent(hours=3)]
    assert refused(sends[:1], stranger()) is None
    assert refused(sends, stranger()) == 19 * HOUR
    assert refused(sends, stranger("another")) is None


def test_a_number_without_an_account_gets_ten_codes_from_anyone() -> None:
    sends = [sent(hours=hours) for hours in range(1, 11)]
    assert refused(sends[:9], asking("a stranger")) is None
    assert refused(sends, asking("a stranger")) == 14 * HOUR
    assert refused(sends, asking("")) == 14 * HOUR


def test_then_it_gets_one_more_for_each_new_network_every_twelve_minutes_up_to_twenty() -> None:
    sends = [sent(hours=hours) for hours in range(1, 11)]
    assert refused(sends, asking("new")) is None
    assert refused([*sends, sent(minutes=5, network="extra 1")], asking("new")) == 7 * 60
    assert refused([*sends, sent(minutes=12, network="extra 1")], asking("new")) is None
    assert refused([*sends, sent(minutes=12, network="new")], asking("new")) == 15 * HOUR
    extras = [sent(minutes=12 * turn, network=f"extra {turn}") for turn in range(1, 11)]
    assert len(sends + extras) == MAX_SENDS_WITHOUT_ACCOUNT
    assert refused(sends + extras[1:], asking("new")) is None
    assert refused(sends + extras, asking("new")) is not None


def test_ten_hostile_networks_keep_another_from_a_number_without_an_account_for_less_than_two_hours() -> None:
    """They send as soon as they can, and the honest network asks last each minute."""
    hostile, sends, now = [f"hostile {turn}" for turn in range(10)], [], NOW
    waited = 0
    for minute in range(24 * 60):
        now = NOW + timedelta(minutes=minute)
        for network in hostile:
            by_site = [send for send in recent(sends, now) if send.network == network]
            if len(by_site) < 4 and refused(sends, asking(network), now=now) is None:
                sends.append(Send(now, network, "native"))
                break
        else:
            waited = 0 if refused(sends, asking("honest"), now=now) is None else waited + 1
        assert waited < 120, minute


def test_a_test_number_gets_a_hundred_codes_in_24_hours_and_then_waits_for_the_oldest_to_leave() -> None:
    sends = [sent(minutes=minutes) for minutes in range(TEST_SENDS_PER_WINDOW, 0, -1)]
    refuse_test_cap(sends[1:], NOW)
    with pytest.raises(ServiceError) as refusal:
        refuse_test_cap(sends, NOW)
    assert (refusal.value.code, refusal.value.retry_after) == (ErrorCode.DAILY_CAP, (24 * 60 - 100) * 60)
    refuse_test_cap(sends, NOW + WINDOW - timedelta(minutes=100))


def test_strangers_share_six_sends_and_one_network_two() -> None:
    of_one = [sent(hours=1), sent(hours=2)]
    assert is_within_share(of_one[:1], stranger(), NOW)
    assert not is_within_share(of_one, stranger(), NOW)
    assert is_within_share(of_one, stranger("another"), NOW)
    assert is_within_share(of_one, stranger("a stranger"), NOW + timedelta(hours=23))
    of_many = [sent(network=f"n{n}", hours=n + 1) for n in range(6)]
    assert is_within_share(of_many[:5], stranger("another"), NOW)
    assert not is_within_share(of_many, stranger("another"), NOW)
    assert is_within_share([known(hours=n + 1) for n in range(9)], stranger(), NOW)


def test_where_networks_are_not_counted_only_all_strangers_share() -> None:
    assert is_within_share([sent(network="", hours=1)] * 5, stranger(""), NOW)
    assert not is_within_share([sent(network="", hours=1)] * 6, stranger(""), NOW)


@pytest.mark.parametrize("networks", [1, 2, 3, 10])
def test_the_owner_keeps_what_strangers_cannot_use_however_often_they_asked(networks: int) -> None:
    """Strangers had ten sends and more before the number had an account, or were answered without a message."""
    by_strangers = [sent(network=f"n{n % networks}", minutes=600 - 10 * n) for n in range(20)]
    kept = 10 - min(6, 2 * networks)

    own: list[Send] = []
    for _ in range(kept):
        assert refused([*by_strangers, *own], OWNER) is None
        own.append(known(minutes=5 - 0.1 * len(own)))

    assert refused([*by_strangers, *own], OWNER) is not None
    assert (refused(by_strangers, stranger("another")) is None) is (networks < 3)
