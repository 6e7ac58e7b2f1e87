"""The records of a reconciliation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from shared.internal_api.directory import DirectoryUser, VersionedUser

Kind = Literal["missing", "changed", "erased"]
"""The user has no row, or another row than their account, or a row and no account."""


class DirectoryRow(NamedTuple):
    """A row of the directory. ``phone_ref`` is None for a user who was erased."""

    user_id: int
    phone_ref: int | None
    nickname: str
    avatar: str
    visible: bool
    version: int

    @property
    def user(self) -> DirectoryUser | None:
        """What the row shows of its user; None for an erased one."""
        return None if self.phone_ref is None else DirectoryUser(self.user_id, self.phone_ref, *self[2:5])


@dataclass(frozen=True, slots=True)
class Difference:
    """The row and the account of a user that do not agree; None where there is none."""

    user_id: int
    row: DirectoryRow | None
    account: VersionedUser | None

    @property
    def kind(self) -> Kind:
        if self.account is None:
            return "erased"
        return "changed" if self.row else "missing"


def differences(
    user_ids: Sequence[int], rows: Mapping[int, DirectoryRow], accounts: Mapping[int, VersionedUser]
) -> list[Difference]:
    """The users whose row does not show their account. Versions may differ: a new password changes nothing shown."""
    found = [Difference(user_id, rows.get(user_id), accounts.get(user_id)) for user_id in user_ids]
    return [each for each in found if _shown(each.row) != (each.account.user if each.account else None)]


def _shown(row: DirectoryRow | None) -> DirectoryUser | None:
    return row.user if row else None
