"""What is done from time to time is done again after it failed."""

import asyncio
from uuid import UUID

from sms_service.retention import PURGE_BATCH, purge, regularly


async def test_work_goes_on_after_a_failure_and_ends_with_the_block() -> None:
    rounds = asyncio.Queue[int]()
    count = 0

    async def work() -> None:
        nonlocal count
        count += 1
        rounds.put_nowait(count)
        if count == 1:
            raise ConnectionError

    async with regularly("test", 0, work):
        assert [await rounds.get() for _ in range(3)] == [1, 2, 3]
    done = count
    await asyncio.sleep(0)
    assert count == done


class RetentionRepository:
    """Holds more than one batch of everything; numbers are walked in two pages."""

    def __init__(self) -> None:
        self.messages, self.verifications = [PURGE_BATCH, 3], [5]
        self.verification_events = [PURGE_BATCH, PURGE_BATCH, 2]
        self.check_failures_by_network = [PURGE_BATCH, 1]
        self.bounds: list[UUID] = []
        self.walked: list[int] = []

    async def purge_messages(self, before: UUID, *_: int) -> int:
        self.bounds.append(before)
        return self.messages.pop(0) if self.messages else 0

    async def purge_verifications(self, *_: object) -> int:
        return self.verifications.pop(0) if self.verifications else 0

    async def purge_verification_events(self, before: UUID, *_: int) -> int:
        self.bounds.append(before)
        return self.verification_events.pop(0) if self.verification_events else 0

    async def purge_numbers(self, after: int, *_: int) -> int | None:
        self.walked.append(after)
        return {-(2**63): 10, 10: 20}.get(after)

    async def purge_check_failures(self, *_: object) -> int:
        return self.check_failures_by_network.pop(0) if self.check_failures_by_network else 0


async def test_a_purge_goes_on_until_nothing_is_left() -> None:
    archive = RetentionRepository()
    assert await purge(archive) == {
        "messages": PURGE_BATCH + 3,
        "happenings": 2 * PURGE_BATCH + 2,
        "verifications": 5,
    }
    assert archive.walked == [-(2**63), 10, 20]
    assert archive.check_failures_by_network == []


async def test_a_purge_looks_only_at_ids_older_than_what_it_keeps() -> None:
    archive = RetentionRepository()
    await purge(archive, now=30 * 86_400 + 1.5)
    assert {bound.int >> 80 for bound in archive.bounds} == {1500}
