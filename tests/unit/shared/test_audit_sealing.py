"""The job that seals: it seals all that waits, when it is its turn, and notices when the chain has lost its end."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from shared.audit.chain import BEGINNING, Anchor, Seal
from shared.audit.sealing import MAX_ROWS, SETTLE, Sealer, delete_all_old

NOW = datetime(2026, 11, 28, tzinfo=UTC)


@dataclass
class Repository:
    """A chain in memory: ``waiting`` rows have no seal."""

    waiting: int = 0
    is_turn: bool = True
    end: Anchor = BEGINNING
    settles: list[timedelta] = field(default_factory=list)
    sinces: list[datetime | None] = field(default_factory=list)
    old: int = 0

    async def take_turn(self, period: timedelta) -> bool:
        assert timedelta() < period < timedelta(seconds=10)
        return self.is_turn

    async def seal(self, limit: int, settle: timedelta, since: datetime | None = None) -> tuple[Anchor, Seal | None]:
        before, count = self.end, min(limit, self.waiting)
        self.settles.append(settle)
        self.sinces.append(since)
        if not count:
            return before, None
        self.waiting -= count
        last_at = NOW + timedelta(seconds=before.number)
        seal = Seal(before.number + 1, NOW, 1, NOW, last_at, [uuid4()] * count, b"", bytes([before.number + 1]) * 32)
        self.end = seal.anchor
        return before, seal

    async def delete_old(self, days: int) -> int:
        assert days == 190
        deleted, self.old = min(self.old, 10), max(0, self.old - 10)
        return deleted


@pytest.mark.parametrize(("waiting", "seals"), [(0, 0), (1, 1), (MAX_ROWS, 1), (MAX_ROWS + 1, 2), (3 * MAX_ROWS, 3)])
async def test_a_turn_seals_all_rows_that_have_settled(waiting: int, seals: int) -> None:
    repository = Repository(waiting)
    with capture_logs() as logs:
        await Sealer(repository).take_turn()
    assert (repository.waiting, repository.end.number) == (0, seals)
    assert set(repository.settles) == {SETTLE}
    assert [line["event"] for line in logs] == ["audit.sealed"] * seals
    assert sum(line["rows"] for line in logs) == waiting


async def test_only_the_first_seal_of_a_turn_looks_for_rows_that_committed_late() -> None:
    repository = Repository()
    sealer = Sealer(repository)
    for _ in range(2):
        repository.waiting = 2 * MAX_ROWS + 1
        await sealer.take_turn()
    ends = [NOW + timedelta(seconds=number) for number in range(6)]
    assert repository.sinces == [None, *ends[:2], None, *ends[3:5]]


async def test_every_seal_is_logged_with_its_anchor() -> None:
    repository = Repository(1)
    with capture_logs() as logs:
        await Sealer(repository).take_turn()
    assert logs[0]["anchor"] == str(repository.end)


async def test_nothing_is_sealed_when_another_process_did() -> None:
    repository = Repository(5, is_turn=False)
    await Sealer(repository).take_turn()
    assert repository.waiting == 5


@pytest.mark.parametrize("end", [Anchor(1, bytes(32)), Anchor(2, bytes(32))])
async def test_a_chain_that_lost_its_end_is_reported_once(end: Anchor) -> None:
    repository = Repository(1)
    sealer = Sealer(repository)
    for _ in range(2):
        repository.waiting = 1
        await sealer.take_turn()
    seen = repository.end
    repository.end = end
    with capture_logs() as logs:
        await sealer.take_turn()
        await sealer.take_turn()
    assert [(line["event"], line["log_level"], line["seen"]) for line in logs] == [
        ("audit.cut_off", "error", str(seen))
    ]  # fmt: skip


async def test_seals_of_other_processes_are_no_loss() -> None:
    repository = Repository(1)
    sealer = Sealer(repository)
    await sealer.take_turn()
    repository.end = Anchor(9, bytes(32))
    with capture_logs() as logs:
        await sealer.take_turn()
    assert logs == []


async def test_all_that_is_old_is_deleted() -> None:
    repository = Repository(old=25)
    await delete_all_old(repository, 190)
    assert repository.old == 0
