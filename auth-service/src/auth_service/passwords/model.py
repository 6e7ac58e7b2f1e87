"""The records of a rate-limited password check."""

from dataclasses import dataclass, field
from datetime import datetime

from auth_service.accounts.model import StoredAccount


@dataclass(frozen=True, slots=True)
class Bucket:
    """A counter of failed log-ins, and how many failures it allows in one window."""

    name: str
    max_failures: int


@dataclass(frozen=True, slots=True)
class CountedFailure:
    """One failure counted in a bucket. It can be refunded until the window ends at ``resets_at``."""

    bucket: str
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class StartedCheck:
    """The account to check, if there is one, and the failures counted in advance.

    ``retry_after`` is in whole seconds. Above 0 a bucket was full, and nothing was counted.
    """

    retry_after: int
    account: StoredAccount | None
    counted: tuple[CountedFailure, ...]


@dataclass(frozen=True, slots=True)
class VerifiedPassword:
    """The account whose password was correct. ``new_hash`` replaces a hash with an old pepper or cost."""

    account: StoredAccount
    new_hash: str | None = field(default=None, repr=False)
