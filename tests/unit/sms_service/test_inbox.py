"""The inbox: newest first, by number, never more than its capacity, and with callers that wait."""

import asyncio

import pytest

from shared.internal_api.sms import Purpose
from shared.phone import E164
from sms_service.inbox.messages import Inbox, NewMessage
from sms_service.inbox.search import parse_search

ANNE, BOB = E164("+8613800138000"), E164("+8613900139000")


def message(to: E164 = ANNE, text: str = "hello") -> NewMessage:
    return NewMessage(to=to, text=text, code="123456", purpose=Purpose.SIGN_UP)


def texts(inbox: Inbox, to: E164 | None = None, limit: int = 20) -> list[str]:
    return [stored.text for stored in inbox.newest(to, limit)]


def test_messages_are_found_newest_first_for_one_number_or_for_all() -> None:
    inbox = Inbox()
    for to, text in ((ANNE, "1"), (BOB, "2"), (ANNE, "3")):
        inbox.put(message(to, text))
    assert texts(inbox) == ["3", "2", "1"]
    assert texts(inbox, ANNE) == ["3", "1"]
    assert texts(inbox, limit=1) == ["3"]
    assert texts(inbox, E164("+8613000000000")) == []


def test_the_oldest_message_makes_room_for_the_newest() -> None:
    inbox = Inbox(capacity=2)
    for to, text in ((ANNE, "1"), (BOB, "2"), (BOB, "3")):
        inbox.put(message(to, text))
    assert texts(inbox) == ["3", "2"]
    assert texts(inbox, ANNE) == []
    assert set(inbox._by_number) == {BOB}


def test_a_later_message_has_a_greater_id() -> None:
    inbox = Inbox()
    ids = [inbox.put(message()).id for _ in range(2000)]
    assert ids == sorted(set(ids))


def test_an_emptied_inbox_has_no_messages() -> None:
    inbox = Inbox()
    inbox.put(message())
    inbox.empty()
    assert texts(inbox) == []
    assert texts(inbox, ANNE) == []
    assert inbox._by_number == {}


async def test_latest_is_the_newest_message_after_the_one_with_the_id() -> None:
    inbox = Inbox()
    first = inbox.put(message(text="1"))
    second = inbox.put(message(text="2"))
    assert await inbox.latest(ANNE, "", 0) == second
    assert await inbox.latest(ANNE, first.id, 0) == second
    assert await inbox.latest(ANNE, second.id, 0) is None
    assert await inbox.latest(BOB, "", 0) is None


@pytest.mark.parametrize("to", [ANNE, None])
async def test_a_caller_that_waits_gets_the_next_message_to_its_number(to: E164 | None) -> None:
    inbox = Inbox()
    seen = inbox.put(message(text="1"))
    waiting = [asyncio.create_task(inbox.latest(to, seen.id, 10)) for _ in range(3)]
    others = asyncio.create_task(inbox.latest(E164("+8613000000000"), "", 0.01))
    await asyncio.sleep(0)
    inbox.empty()

    posted = inbox.put(message(text="2"))

    assert await asyncio.gather(*waiting) == [posted] * 3
    assert await others is None
    assert set(inbox._by_number) == {ANNE}


async def test_waiting_without_a_message_ends_and_leaves_nothing_behind() -> None:
    inbox = Inbox()
    assert await inbox.latest(ANNE, "", 0.01) is None
    assert inbox._by_number == {}


async def test_the_end_of_the_process_wakes_all_callers_that_wait() -> None:
    inbox = Inbox()
    waiting = [asyncio.create_task(inbox.latest(to, "", 30)) for to in (ANNE, None)]
    await asyncio.sleep(0)
    inbox.release()
    assert await asyncio.gather(*waiting) == [None, None]


async def test_a_change_wakes_a_caller_that_waits_for_one() -> None:
    inbox = Inbox()
    before = await inbox.state("", 0)
    waiting = asyncio.ensure_future(inbox.state(before, 10))
    await asyncio.sleep(0)
    inbox.put(message())
    after = await waiting
    assert after != before
    inbox.empty()
    assert await inbox.state(after, 10) not in {before, after}


async def test_without_a_change_the_state_stays_the_same() -> None:
    inbox = Inbox()
    state = await inbox.state("", 0)
    assert await inbox.state(state, 0.01) == state


async def test_the_end_of_the_process_wakes_a_caller_that_waits_for_a_change() -> None:
    inbox = Inbox()
    state = await inbox.state("", 0)
    waiting = asyncio.ensure_future(inbox.state(state, 10))
    await asyncio.sleep(0)
    inbox.release()
    assert await waiting == state


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", ["1", "2"]),
        ("to:138", ["1"]),
        ("to:+86139", ["2"]),
        ("to:138 to:139", []),
        ("purpose:sign", ["1", "2"]),
        ("purpose:reset", []),
        ("ONE", ["1"]),
        ("139001", ["2"]),
        ("http://x", []),
        ("to:", ["1", "2"]),
        ("x" * 10_000, []),
    ],
)
def test_a_search_finds_messages_that_contain_all_of_it(typed: str, found: list[str]) -> None:
    inbox = Inbox()
    stored = {"1": inbox.put(message(ANNE, "one")), "2": inbox.put(message(BOB, "two"))}
    search = parse_search(typed)
    assert [name for name, each in stored.items() if search.finds(each)] == found
