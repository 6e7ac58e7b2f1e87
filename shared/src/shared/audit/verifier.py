"""Finds the first place where an audit trail is not as it was sealed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from uuid import UUID

from shared.audit.chain import BEGINNING, Anchor, Chain, Row, Seal


@dataclass(frozen=True)
class Break:
    """The first place where the trail is broken: what is wrong, and where. ``row_id`` is None if a seal is."""

    text: str
    seal: int | None = None
    row_id: UUID | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class ChainStart:
    """Where the stored chain starts: ``anchor`` is the last seal that retention deleted, if it deleted any."""

    anchor: Anchor = BEGINNING
    key_id: int = 0
    proof: bytes = b""


class Verifier:
    """Compares seals with rows, seal after seal, and keeps what a later row must explain: emptied rows."""

    def __init__(self, chain: Chain, start: ChainStart, expected: Anchor | None = None) -> None:
        self._chain = chain
        self._start = start
        self._expected = expected
        self.end = start.anchor
        self.rows = 0
        self._erasures: dict[UUID, int] = {}
        self._emptied: Counter[UUID] = Counter()
        self._first_emptied: dict[UUID, Break] = {}

    def begin(self) -> Break | None:
        """Whether the start of the chain is genuine."""
        start = self._start
        if start.anchor == BEGINNING:
            return None
        if not self._chain.has_key(start.key_id):
            return Break(f"the start of the chain has key {start.key_id}, which is not in AUDIT_KEYS")
        if not compare_digest(start.proof, self._chain.proof(start.anchor, start.key_id)):
            return Break("the start of the chain was moved: rows before it may have been deleted")
        return None

    def add(self, seal: Seal, rows: Mapping[UUID, Row]) -> Break | None:
        """The first break in this seal or its rows. ``rows`` has all of them by id."""
        broken = self._seal_break(seal)
        if broken:
            return broken
        self.end = seal.anchor
        for index, row_id in enumerate(seal.ids):
            row = rows.get(row_id)
            if row is None:
                return Break("this row was deleted", seal.number, row_id)
            if text := self._row_break(row, seal.digests_of(index), seal.key_id):
                return Break(text, seal.number, row_id, row["at"])
            self._note_erasure(row, seal.number)
        self.rows += len(seal.ids)
        return None

    def finish(self, waiting: Sequence[Row]) -> Break | None:
        """The first break that only the whole trail shows. ``waiting`` are the rows without a seal yet."""
        for row in waiting:
            self._note_erasure(row, None)
        for erasure, count in self._emptied.items():
            if count > self._erasures.get(erasure, 0):
                return self._first_emptied[erasure]
        return self._missing_end()

    def _seal_break(self, seal: Seal) -> Break | None:
        number = self.end.number + 1
        if seal.number != number:
            return Break("this seal was deleted", number)
        if not self._chain.has_key(seal.key_id):
            return Break(f"this seal has key {seal.key_id}, which is not in AUDIT_KEYS", number)
        if not compare_digest(seal.hash, self._chain.hash_of(seal, self.end.hash)):
            return Break("this seal was changed", number)
        if self._expected and self._expected.number == number and self._expected.hash != seal.hash:
            return Break("this seal is not the one of the anchor: the trail was sealed again", number)
        return None

    def _row_break(self, row: Row, sealed: tuple[bytes, bytes], key_id: int) -> str:
        lasting, erasable = self._chain.digests(row, key_id)
        if not compare_digest(lasting, sealed[0]):
            return "this row was changed"
        if row["erased_by"] is None:
            return "" if compare_digest(erasable, sealed[1]) else "this row was changed: whom it is about"
        return "" if self._chain.table.is_emptied(row) else "this row was changed: it is not as an erasure leaves it"

    def _note_erasure(self, row: Row, seal: int | None) -> None:
        erasure = row["erased_by"]
        if erasure is not None:
            self._emptied[erasure] += 1
            text = "this row was emptied, and no erasure in the trail explains it"
            self._first_emptied.setdefault(erasure, Break(text, seal, row["id"], row["at"]))
        if self._chain.table.is_erasure(row) and row["detail"].isdecimal():
            self._erasures[row["id"]] = int(row["detail"])

    def _missing_end(self) -> Break | None:
        expected = self._expected
        if expected is None or self._start.anchor.number < expected.number <= self.end.number:
            return None
        if expected.number <= self._start.anchor.number:
            if expected.number < self._start.anchor.number or expected.hash == self._start.anchor.hash:
                return None
            return Break("the start of the chain is not the seal of the anchor", expected.number)
        return Break("the trail ends before the seal of the anchor: its end was cut off", expected.number)
