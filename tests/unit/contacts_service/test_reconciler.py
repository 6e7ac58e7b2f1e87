"""Reconciliation: which differences are corrected, and which are left to the events that are on their way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from auth_service.accounts.comparison import UserComparison
from contacts_service.reconciliation import reconciler
from contacts_service.reconciliation.model import Difference, DirectoryRow
from contacts_service.reconciliation.reconciler import Reconciler
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.directory import ComparedUsers, CompareUsers, DirectoryUser, VersionedUser

ANNA, BERT = 2**47 + 1, 2**47 + 2


def account(user_id: int, version: int = 1, *, nickname: str = "name", ref: int = 7) -> VersionedUser:
    return VersionedUser(DirectoryUser(user_id, ref, nickname, "", visible=True), version, 1_000.0)


def row(user_id: int, version: int = 1, *, nickname: str = "name", ref: int | None = 7) -> DirectoryRow:
    return DirectoryRow(user_id, ref, nickname, "", ref is not None, version)


@dataclass
class Accounts:
    """The accounts in memory, behind the comparison of auth-service."""

    stored: dict[int, VersionedUser] = field(default_factory=dict)
    late: bool = False
    late_at: int = -1
    compared: list[CompareUsers] = field(default_factory=list)

    async def are_events_late(self) -> bool:
        return self.late or len(self.compared) == self.late_at

    async def page(self, first: int, up_to: int, size: int) -> Sequence[VersionedUser]:
        return [self.stored[each] for each in sorted(self.stored) if first <= each <= up_to][:size]

    async def find(self, user_ids: Sequence[int]) -> Sequence[VersionedUser]:
        return [self.stored[each] for each in user_ids if each in self.stored]


class Source(UserComparison):
    """Records the ranges that were compared."""

    def __init__(self, accounts: Accounts) -> None:
        super().__init__(accounts)
        self._accounts = accounts

    async def compare(self, request: CompareUsers) -> ComparedUsers:
        self._accounts.compared.append(request)
        return await super().compare(request)


@dataclass
class Directory:
    stored: dict[int, DirectoryRow] = field(default_factory=dict)
    corrected: list[tuple[int, str]] = field(default_factory=list)

    async def page(self, first: int, size: int) -> Sequence[DirectoryRow]:
        return [self.stored[each] for each in sorted(self.stored) if each >= first][:size]

    async def rows(self, user_ids: Sequence[int]) -> Sequence[DirectoryRow]:
        return [self.stored[each] for each in user_ids if each in self.stored]

    async def correct(self, differences: Sequence[Difference]) -> set[int]:
        for each in differences:
            self.corrected.append((each.user_id, each.kind))
            shown = each.account
            self.stored[each.user_id] = (
                DirectoryRow(*shown.user, shown.version) if shown else row(each.user_id, 2**31 - 1, ref=None)
            )
        return {each.user_id for each in differences}


@dataclass
class Lease:
    is_due: bool = True
    is_held: bool = True
    ended: int = 0
    due_at: datetime = datetime(2026, 11, 1, tzinfo=UTC)

    async def begin(self) -> datetime | None:
        return self.due_at if self.is_due else None

    async def extend(self) -> bool:
        return self.is_held

    async def end(self) -> None:
        self.ended += 1
        self.due_at += timedelta(minutes=10)


@dataclass
class World:
    accounts: Accounts = field(default_factory=Accounts)
    directory: Directory = field(default_factory=Directory)
    lease: Lease = field(default_factory=Lease)
    has_backlog: bool = False
    meanwhile: Callable[[], None] = lambda: None
    reconciler: Reconciler = field(init=False)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(
            self.directory, Source(self.accounts), self.lease, has_backlog=self._has_backlog, settle=self._settle
        )

    async def _settle(self) -> None:
        self.meanwhile()

    async def _has_backlog(self) -> bool:
        return self.has_backlog

    def have(self, *users: VersionedUser) -> None:
        self.accounts.stored.update({each.user.user_id: each for each in users})

    def show(self, *rows: DirectoryRow) -> None:
        self.directory.stored.update({each.user_id: each for each in rows})

    async def reconcile(self, meanwhile: Callable[[], None] = lambda: None) -> list[tuple[int, str]]:
        """One round; ``meanwhile`` happens between the two looks. Returns whom it corrected, and why."""
        self.meanwhile = meanwhile
        await self.reconciler.run_if_due()
        return self.directory.corrected


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(reconciler, "PAUSE_SECONDS", 0)
    return World()


async def test_a_directory_that_agrees_is_left_alone(world: World) -> None:
    world.have(account(ANNA))
    world.show(row(ANNA))
    assert await world.reconcile() == []
    assert world.lease.ended == 1


async def test_a_user_without_a_row_is_added(world: World) -> None:
    world.have(account(ANNA, 3))
    assert await world.reconcile() == [(ANNA, "missing")]
    assert world.directory.stored[ANNA] == row(ANNA, 3)


@pytest.mark.parametrize(
    "wrong", [row(ANNA, nickname="old"), row(ANNA, ref=8), row(ANNA, 99, nickname="by hand"), row(ANNA, 9, ref=None)]
)
async def test_a_row_that_shows_something_else_is_corrected_in_any_version(world: World, wrong: DirectoryRow) -> None:
    world.have(account(ANNA, 5))
    world.show(wrong)
    assert await world.reconcile() == [(ANNA, "changed")]
    assert world.directory.stored[ANNA] == row(ANNA, 5)


async def test_a_row_without_an_account_is_erased_above_every_version(world: World) -> None:
    world.show(row(ANNA), row(BERT))
    world.have(account(BERT))
    assert await world.reconcile() == [(ANNA, "erased")]
    assert world.directory.stored[ANNA] == row(ANNA, 2**31 - 1, ref=None)
    assert await world.reconcile() == [(ANNA, "erased")]


@pytest.mark.parametrize("user_id", [-(2**63), -7, -1, 0, 1, 2**63 - 1])
async def test_a_row_of_any_id_is_compared(world: World, user_id: int) -> None:
    world.have(account(ANNA))
    world.show(row(user_id, ref=8), row(ANNA))
    assert await world.reconcile() == [(user_id, "erased")]
    assert world.accounts.compared[-1].up_to == 2**63 - 1


async def test_a_version_alone_is_no_difference(world: World) -> None:
    world.have(account(ANNA, 4))
    world.show(row(ANNA, 1))
    assert await world.reconcile() == []


async def test_an_event_that_arrives_between_the_looks_raises_no_alarm(world: World) -> None:
    world.have(account(ANNA, 2, nickname="new"), account(BERT, 1))
    world.show(row(ANNA, 1))

    def events_arrive() -> None:
        world.show(row(ANNA, 2, nickname="new"), row(BERT, 1))

    assert await world.reconcile(events_arrive) == []


async def test_a_user_who_changes_between_the_looks_is_left_to_their_event(world: World) -> None:
    world.have(account(ANNA, 2, nickname="new"))
    world.show(row(ANNA, 1))
    assert await world.reconcile(lambda: world.have(account(ANNA, 3, nickname="newer"))) == []


async def test_an_erasure_on_its_way_beside_a_real_difference_is_left_to_its_event(world: World) -> None:
    world.have(account(ANNA, 2, nickname="new"), account(BERT))
    world.show(row(ANNA, 1), row(BERT, 1))

    def bert_leaves() -> None:
        del world.accounts.stored[BERT]

    assert await world.reconcile(bert_leaves) == [(ANNA, "changed")]


async def test_an_empty_directory_is_filled(world: World) -> None:
    ids = range(ANNA, ANNA + 1_234)
    world.have(*(account(each, nickname=f"name {each}", ref=each) for each in ids))
    assert len(await world.reconcile()) == 1_234
    assert [each.user for each in world.directory.stored.values()] == [world.accounts.stored[each].user for each in ids]


async def test_only_the_differing_users_of_many_pages_are_corrected(world: World) -> None:
    ids = range(ANNA, ANNA + 3_000)
    world.have(*(account(each, ref=each) for each in ids))
    world.show(*(row(each, ref=each) for each in ids))
    world.show(row(ANNA + 700, nickname="wrong", ref=1), row(ANNA + 5_000, ref=2))
    del world.directory.stored[ANNA + 2_400]
    assert await world.reconcile() == [
        (ANNA + 700, "changed"), (ANNA + 2_400, "missing"), (ANNA + 5_000, "erased")
    ]  # fmt: skip


async def test_differences_beyond_the_limit_are_corrected_in_turns(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "MAX_SUSPECTS", 500)
    world.have(*(account(each) for each in range(ANNA, ANNA + 1_600)))
    turns: list[int] = []
    await world.reconcile(lambda: turns.append(len(world.directory.stored)))
    assert (turns, len(world.directory.stored)) == ([0, 500, 1_000, 1_500], 1_600)


async def test_nothing_is_compared_while_the_round_belongs_to_another_replica(world: World) -> None:
    world.have(account(ANNA))
    world.lease.is_due = False
    assert await world.reconcile() == []
    assert world.accounts.compared == []


async def test_a_replica_that_lost_the_round_corrects_nothing(world: World) -> None:
    world.have(account(ANNA))

    def lose() -> None:
        world.lease.is_held = False

    assert await world.reconcile(lose) == []
    assert world.lease.ended == 0


async def test_nothing_is_corrected_while_events_wait_in_the_queue(world: World) -> None:
    world.have(account(ANNA))

    def fall_behind() -> None:
        world.has_backlog = True

    assert await world.reconcile(fall_behind) == []
    assert await world.reconcile() == []
    assert world.lease.ended == 0


async def test_nothing_is_corrected_while_events_wait_in_the_outbox(world: World) -> None:
    world.have(account(ANNA))
    world.accounts.late = True
    with pytest.raises(ServiceError) as refusal:
        await world.reconcile()
    assert (refusal.value.code, world.directory.corrected) == (ErrorCode.UNAVAILABLE, [])


async def test_an_interrupted_round_continues_where_it_was(world: World) -> None:
    world.have(*(account(each) for each in range(ANNA, ANNA + 2_000)))
    world.show(*(row(each) for each in range(ANNA, ANNA + 2_000)))
    del world.directory.stored[ANNA + 1_200]
    world.accounts.late_at = 4  # the fourth page: the third has a difference, and the first two have none

    with pytest.raises(ServiceError):
        await world.reconcile()
    world.accounts.late_at = -1

    assert await world.reconcile() == [(ANNA + 1_200, "missing")]
    assert world.accounts.compared[4].first == ANNA + 1_000
    assert world.lease.ended == 1


async def test_a_round_after_one_that_another_replica_ended_compares_everyone(world: World) -> None:
    ids = range(ANNA, ANNA + 2_000)
    world.have(*(account(each) for each in ids))
    world.show(*(row(each) for each in ids))
    world.accounts.late_at = 3
    with pytest.raises(ServiceError):
        await world.reconcile()
    world.accounts.late_at = -1

    await world.lease.end()  # by the other replica
    world.show(row(ANNA, nickname="by hand"))

    assert await world.reconcile() == [(ANNA, "changed")]


async def test_an_interrupted_round_does_not_continue_in_a_later_one_of_its_own(world: World) -> None:
    ids = range(ANNA, ANNA + 2_000)
    world.have(*(account(each) for each in ids))
    world.show(*(row(each) for each in ids))
    world.accounts.late_at = 3
    with pytest.raises(ServiceError):
        await world.reconcile()
    world.accounts.late_at = -1
    await world.reconcile()

    world.show(row(ANNA, nickname="by hand"))

    assert await world.reconcile() == [(ANNA, "changed")]
