"""The records of a rate-limited password check."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from auth_service.accounts.model import StoredAccount
from auth_service.passwords.hashing_slots import HashingSlot


@dataclass(frozen=True, slots=True)
class Bucket:
    """A counter of log-ins: ``allowed`` at once, and all of them again after ``period``, evenly.

    One that ``is_wide`` counts many callers, so a correct password from a known network passes it when it is full.
    """

    name: str
    allowed: int
    period: timedelta
    is_wide: bool = False

    @property
    def interval(self) -> timedelta:
        """How long one log-in takes to come back."""
        return self.period / self.allowed


@dataclass(frozen=True, slots=True)
class CountedFailure:
    """One failure counted in a bucket. A refund takes ``interval`` off it."""

    bucket: str
    interval: timedelta


@dataclass(frozen=True, slots=True)
class StartedCheck:
    """The account to check, if there is one, and the failures counted in advance.

    ``retry_after`` and ``known_only`` are in whole seconds. The first is above 0 if a narrow bucket was full: nothing
    was counted, and no password is compared. The second is above 0 if a wide one was: nothing was counted in it, and
    only a correct password from a known network passes. ``is_known`` says whether the request came from one.
    """

    account: StoredAccount | None
    retry_after: int = 0
    known_only: int = 0
    is_known: bool = False
    counted: Sequence[CountedFailure] = ()


@dataclass(frozen=True, slots=True)
class RunningCheck:
    """A started check that has a slot at the hashing threads. ``success_buckets`` count the log-in if it succeeds."""

    started: StartedCheck
    slot: HashingSlot
    success_buckets: Sequence[Bucket] = ()

    @property
    def user_id(self) -> int | None:
        """The user of the number, if it has an account."""
        return self.started.account.user_id if self.started.account else None


@dataclass(frozen=True, slots=True)
class VerifiedPassword:
    """The account whose password was correct. ``new_hash`` replaces an old or imported hash."""

    account: StoredAccount
    new_hash: str | None = field(default=None, repr=False)
