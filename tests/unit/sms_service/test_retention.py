"""A purge deletes everything past its retention, in batches, and examines only ids that are old enough."""

import asyncio
from uuid import UUID

import pytest

from sms_service import retention
from sms_service.retention import PURGE_BATCH, purge, purging


class Repository:
    """Has more than one batch of everything; the numbers are examined in two pages."""

    def __init__(self) -> None:
        self.messages, self.verifications = [PURGE_BATCH, 3], [5]
        self.check_failures = [PURGE_BATCH, 1]
        self.test_messages = [PURGE_BATCH, 1]
        self.bounds: list[UUID] = []
        self.pages: list[int] = []

    async def purge_messages(self, before: UUID, *_: int) -> int:
        self.bounds.append(before)
        return self.messages.pop(0) if self.messages else 0

    async def purge_verifications(self, *_: object) -> int:
        return self.verifications.pop(0) if self.verifications else 0

    async def purge_number_activity(self, after: int, *_: int) -> int | None:
        self.pages.append(after)
        return {-(2**63): 10, 10: 20}.get(after)

    async def purge_check_failures(self, *_: object) -> int:
        return self.check_failures.pop(0) if self.check_failures else 0

    async def purge_test_messages(self, *_: object) -> int:
        return self.test_messages.pop(0) if self.test_messages else 0


async def test_a_purge_continues_until_nothing_is_left() -> None:
    repository = Repository()
    assert await purge(repository) == {
        "messages": PURGE_BATCH + 3,
        "verifications": 5,
    }
    assert repository.pages == [-(2**63), 10, 20]
    assert repository.check_failures == repository.test_messages == []


async def test_a_purge_examines_only_ids_older_than_the_retention() -> None:
    repository = Repository()
    await purge(repository, now=30 * 86_400 + 1.5)
    assert {bound.int >> 80 for bound in repository.bounds} == {1500}


async def test_purging_continues_after_a_failure_and_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PURGE_SECONDS", 0)
    rounds, count = asyncio.Queue[int](), 0

    class Failing(Repository):
        async def purge_messages(self, *_: object) -> int:
            nonlocal count
            count += 1
            rounds.put_nowait(count)
            raise ConnectionError

    async with purging(Failing()):
        assert [await rounds.get() for _ in range(3)] == [1, 2, 3]
    ended = count
    await asyncio.sleep(0)
    assert count == ended
