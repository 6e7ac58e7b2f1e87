"""Republication: pages in order, one queue or all consumers, and where an interrupted run continues."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from auth_service.accounts import republication
from auth_service.accounts.model import StoredAccount
from auth_service.accounts.republication import Progress, RefusedPageError, Republication
from auth_service.client_context import ClientContext
from shared.events.envelope import OutboxMessage, entry_of
from shared.internal_api.auth import Account
from shared.phone import PhoneKeys

PHONES = PhoneKeys(bytes(32))
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def account(user_id: int) -> StoredAccount:
    stored = Account(
        user_id=user_id, phone=f"+861380000{user_id:04d}", nickname="n", avatar="", thumbnail="", cover="",
        created_at=NOW, updated_at=NOW, last_login_at=NOW, version=user_id + 1,
    )  # fmt: skip
    return StoredAccount(stored, "a hash", NOW, NOW, ClientContext("tel", "ios"))


class Accounts:
    def __init__(self, count: int) -> None:
        self.ids = range(1, count + 1)

    async def page(self, after: int, size: int) -> Sequence[StoredAccount]:
        return [account(user_id) for user_id in self.ids if user_id > after][:size]


@dataclass
class Publisher:
    refuses: bool = False
    published: list[OutboxMessage] = field(default_factory=list)

    async def publish_all(self, messages: Sequence[OutboxMessage]) -> list[bool]:
        self.published += messages
        return [self.refuses for _ in messages]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(republication, "PAGE_SIZE", 3)


async def run(count: int, publisher: Publisher, queue: str = "", after: int = 0) -> list[Progress]:
    republished = Republication(Accounts(count), publisher, PHONES, queue).run(after=after)
    return [progress async for progress in republished]


async def test_every_user_is_published_once_with_the_present_version() -> None:
    publisher = Publisher()
    assert await run(7, publisher) == [Progress(3, 3), Progress(6, 6), Progress(7, 7)]
    events = [json.loads(message.body) for message in publisher.published]
    assert [(event["subject"], event["version"]) for event in events] == [(str(n), n + 1) for n in range(1, 8)]
    assert {(message.exchange, message.routing_key) for message in publisher.published} == {
        (entry_of("auth"), "auth.user.updated.v1")
    }


async def test_one_queue_gets_the_users_and_no_other_consumer() -> None:
    publisher = Publisher()
    await run(2, publisher, "my-service.users")
    assert {(message.exchange, message.routing_key) for message in publisher.published} == {("", "my-service.users")}
    assert {message.event_type for message in publisher.published} == {"auth.user.updated.v1"}


async def test_a_run_continues_behind_a_user() -> None:
    publisher = Publisher()
    assert await run(7, publisher, after=5) == [Progress(2, 7)]


async def test_only_the_users_who_changed_since_a_time_are_published() -> None:
    publisher = Publisher()
    republication = Republication(Accounts(7), publisher, PHONES)
    assert [each.users async for each in republication.run(since=NOW)] == [3, 6, 7]
    assert [each.users async for each in republication.run(since=NOW + timedelta(seconds=1))] == [0, 0, 0]
    assert len(publisher.published) == 7


async def test_no_user_is_no_page() -> None:
    assert await run(0, Publisher()) == []


async def test_a_refused_event_ends_the_run() -> None:
    with pytest.raises(RefusedPageError):
        await run(7, Publisher(refuses=True))


async def test_no_event_has_the_number_or_the_password_hash() -> None:
    publisher = Publisher()
    await run(1, publisher)
    assert b"13800000001" not in publisher.published[0].body
    assert b"a hash" not in publisher.published[0].body
