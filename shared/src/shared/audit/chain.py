"""The audit chain as arithmetic: seals, each over a batch of rows and over the seal before it (decision 59).

A seal has two digests of each row: of the columns that stay, and of those that an erasure empties. Each is an HMAC with
a key that the database does not have. The second one covers a random salt, which the erasure deletes with the rest, so
that it tells nothing about what was there.
"""

import hmac
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from shared.keys import KeyRing

DIGEST = 16
"""The bytes of one digest; a row has two."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
NO_HASH = bytes(32)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class AuditTable:
    """A table with an audit trail. It also has the columns ``id`` (uuid) and ``erased_by`` (uuid, of an erasure's row).

    ``lasting`` columns never change, and ``at`` is one of them. ``erasable`` columns become null or empty when an
    account is erased. A row whose column ``action`` is ``erasure`` says so, with the number of emptied rows in
    ``detail``.
    """

    name: str
    chain: str
    lasting: Sequence[str]
    erasable: Sequence[str]
    action: str
    erasure: str

    @property
    def columns(self) -> str:
        """The columns that a seal depends on, for a ``select``."""
        return ", ".join(("id", "erased_by", *self.lasting, *self.erasable))

    def is_erasure(self, row: Row) -> bool:
        """Whether the row says that an account was erased."""
        return bool(row[self.action] == self.erasure)

    def is_emptied(self, row: Row) -> bool:
        """Whether nothing is in the columns that an erasure empties."""
        return all(row[column] in (None, "") for column in self.erasable)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place in a chain: the number of a seal and its hash. Kept elsewhere, it shows that nothing was cut off."""

    number: int
    hash: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``2345:<64 hex digits>``. Raises ``ValueError``."""
        number, _, digits = text.partition(":")
        anchor = cls(int(number), bytes.fromhex(digits))
        if anchor.number < 1 or len(anchor.hash) != len(NO_HASH):
            raise ValueError("expected <number>:<64 hex digits>")
        return anchor

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"


BEGINNING = Anchor(0, NO_HASH)
_LENGTH = struct.Struct(">BI")


@dataclass(frozen=True, slots=True)
class Seal:
    """One seal as it is stored. ``digests`` has 32 bytes for each of ``ids``."""

    number: int
    sealed_at: datetime
    key_id: int
    first_at: datetime
    last_at: datetime
    ids: Sequence[UUID]
    digests: bytes
    hash: bytes

    @property
    def anchor(self) -> Anchor:
        return Anchor(self.number, self.hash)

    def digests_of(self, index: int) -> tuple[bytes, bytes]:
        """The two digests of a row, by its place in ``ids``."""
        start = 2 * DIGEST * index
        return self.digests[start : start + DIGEST], self.digests[start + DIGEST : start + 2 * DIGEST]


class Chain:
    """Makes and recomputes the seals of one table. The current key of the ring seals; all of them verify."""

    def __init__(self, table: AuditTable, ring: KeyRing) -> None:
        self.table = table
        self.current = ring.current
        label = f"haoma audit {table.chain}".encode()
        self._keys = {number: hmac.digest(key, label, "sha256") for number, key in ring.by_id.items()}

    def seal(self, previous: Anchor, rows: Sequence[Row], sealed_at: datetime) -> Seal:
        """Seal at least one row, after the seal ``previous``."""
        digests = b"".join(digest for row in rows for digest in self.digests(row, self.current))
        unhashed = Seal(
            previous.number + 1,
            sealed_at,
            self.current,
            min(row["at"] for row in rows),
            max(row["at"] for row in rows),
            [row["id"] for row in rows],
            digests,
            NO_HASH,
        )
        return replace(unhashed, hash=self.hash_of(unhashed, previous.hash))

    def has_key(self, key_id: int) -> bool:
        """Whether the key with this id is in the ring."""
        return key_id in self._keys

    def digests(self, row: Row, key_id: int) -> tuple[bytes, bytes]:
        """The digests of what lasts in a row, and of what an erasure empties."""
        table, name = self.table, row["id"].bytes
        lasting = b"row" + name + _encoded(row[column] for column in table.lasting)
        erasable = b"erasable" + name + _encoded(row[column] for column in table.erasable)
        return self._mac(key_id, lasting)[:DIGEST], self._mac(key_id, erasable)[:DIGEST]

    def hash_of(self, seal: Seal, previous_hash: bytes) -> bytes:
        """The hash that a seal after ``previous_hash`` must have."""
        moments = (seal.sealed_at, seal.first_at, seal.last_at)
        head = _encoded((seal.number, seal.key_id, *moments, len(seal.ids), len(seal.digests)))
        ids = b"".join(each.bytes for each in seal.ids)
        return self._mac(seal.key_id, b"seal" + previous_hash + head + ids + seal.digests)

    def proof(self, start: Anchor, key_id: int) -> bytes:
        """Proves that retention moved the start of the chain behind this seal."""
        return self._mac(key_id, b"start" + _encoded((start.number,)) + start.hash)

    def _mac(self, key_id: int, content: bytes) -> bytes:
        return hmac.digest(self._keys[key_id], content, "sha256")


def _encoded(values: Iterable[object]) -> bytes:
    """Values as bytes, each with its length, so that no two lists of values have the same bytes."""
    return b"".join(map(_encoded_value, values))


def _encoded_value(value: object) -> bytes:
    if value is None:
        return b"\0"
    if type(value) is not str:  # most values are
        value = str((value - EPOCH) // MICROSECOND if isinstance(value, datetime) else value)
    text = value.encode()
    return _LENGTH.pack(1, len(text)) + text
