"""The audit chain: every change of a sealed row, of a seal or of their order is found, and the first one is named."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.audit.chain import BEGINNING, Anchor, AuditTable, Chain, Seal
from shared.audit.verifier import Break, ChainStart, Verifier
from shared.keys import KeyRing

TABLE = AuditTable(
    name="log",
    chain="test",
    lasting=("at", "action", "detail"),
    erasable=("user_id", "network", "salt"),
    action="action",
    erasure="erased",
)
OLD, NEW = KeyRing.parse("1:" + "a1" * 32), KeyRing.parse("2:" + "b2" * 32 + ",1:" + "a1" * 32)
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


def a_row(second: int, **values: Any) -> dict[str, Any]:
    row = {"id": uuid4(), "at": NOON + timedelta(seconds=second), "action": "log_in", "detail": "", "erased_by": None}
    return row | {"user_id": 7, "network": "203.0.113.0/24", "salt": uuid4()} | values


@dataclass
class Trail:
    """Rows with their seals, as a database has them."""

    chain: Chain = field(default_factory=lambda: Chain(TABLE, OLD))
    rows: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    seals: list[Seal] = field(default_factory=list)
    start: ChainStart = field(default_factory=ChainStart)

    def seal(self, *rows: dict[str, Any]) -> None:
        end = self.seals[-1].anchor if self.seals else BEGINNING
        self.rows |= {row["id"]: row for row in rows}
        self.seals.append(self.chain.seal(end, rows, NOON + timedelta(minutes=len(self.seals))))

    def broken(self, *waiting: dict[str, Any], expected: Anchor | None = None) -> Break | None:
        verifier = Verifier(self.chain, self.start, expected)
        found = verifier.begin()
        for seal in self.seals:
            found = found or verifier.add(seal, self.rows)
        return found or verifier.finish(waiting)


@pytest.fixture
def trail() -> Trail:
    sealed = Trail()
    for batch in range(4):
        sealed.seal(*(a_row(10 * batch + second) for second in range(3)))
    return sealed


def test_a_trail_as_it_was_sealed_is_whole(trail: Trail) -> None:
    assert trail.broken() is None
    assert trail.broken(expected=trail.seals[2].anchor) is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("action", "log_out"),
        ("detail", "x"),
        ("at", NOON + timedelta(microseconds=1)),
        ("user_id", 8),
        ("user_id", None),
        ("network", ""),
        ("salt", None),
    ],
)
def test_a_changed_row_is_named(trail: Trail, column: str, value: object) -> None:
    row_id = trail.seals[2].ids[1]
    trail.rows[row_id][column] = value
    found = trail.broken()
    assert found is not None
    assert (found.seal, found.row_id) == (3, row_id)
    assert found.text.startswith("this row was changed")


def test_the_first_of_two_changed_rows_is_named(trail: Trail) -> None:
    first, second = trail.seals[1].ids[2], trail.seals[3].ids[0]
    for row_id in (second, first):
        trail.rows[row_id]["detail"] = "x"
    found = trail.broken()
    assert found is not None
    assert found.row_id == first


def test_a_deleted_row_is_named(trail: Trail) -> None:
    row_id = trail.seals[1].ids[0]
    del trail.rows[row_id]
    assert trail.broken() == Break("this row was deleted", 2, row_id)


def swap_rows(trail: Trail) -> None:
    """Exchange what two rows say."""
    first, second = trail.seals[1].ids[:2]
    trail.rows[first], trail.rows[second] = (
        trail.rows[second] | {"id": first},
        trail.rows[first] | {"id": second},
    )


def reorder_ids(trail: Trail) -> None:
    """List the rows of a seal in another order."""
    seal = trail.seals[1]
    trail.seals[1] = replace(seal, ids=[*reversed(seal.ids)])


def insert_row(trail: Trail) -> None:
    """List a row in a seal that did not have it."""
    row = a_row(11)
    trail.rows[row["id"]] = row
    seal = trail.seals[1]
    digests = seal.digests + b"".join(trail.chain.digests(row, 1))
    trail.seals[1] = replace(seal, ids=[*seal.ids, row["id"]], digests=digests)


def swap_seals(trail: Trail) -> None:
    """Exchange two seals and renumber them."""
    second, third = trail.seals[1:3]
    trail.seals[1:3] = [replace(third, number=2), replace(second, number=3)]


def move_time(trail: Trail) -> None:
    """Say that a seal was made at another time."""
    trail.seals[1] = replace(trail.seals[1], sealed_at=NOON)


@pytest.mark.parametrize("tamper", [swap_rows, reorder_ids, insert_row, swap_seals, move_time])
def test_what_was_exchanged_inserted_or_moved_is_found(trail: Trail, tamper: Callable[[Trail], None]) -> None:
    tamper(trail)
    found = trail.broken()
    assert found is not None
    assert found.seal == 2


def test_a_deleted_seal_is_named(trail: Trail) -> None:
    del trail.seals[1]
    assert trail.broken() == Break("this seal was deleted", 2)


def test_without_the_key_a_seal_cannot_be_forged(trail: Trail) -> None:
    forger = Chain(TABLE, KeyRing.parse("1:" + "c3" * 32))
    rows = [trail.rows[row_id] | {"detail": "x"} for row_id in trail.seals[3].ids]
    trail.rows |= {row["id"]: row for row in rows}
    trail.seals[3] = forger.seal(trail.seals[2].anchor, rows, NOON)
    assert trail.broken() == Break("this seal was changed", 4)


def test_a_seal_of_another_table_is_none_of_this_one(trail: Trail) -> None:
    other = Chain(replace(TABLE, chain="other"), OLD)
    rows = [trail.rows[row_id] for row_id in trail.seals[0].ids]
    trail.seals[0] = other.seal(BEGINNING, rows, NOON)
    assert trail.broken() == Break("this seal was changed", 1)


def test_a_cut_off_end_is_found_with_an_anchor(trail: Trail) -> None:
    anchor = trail.seals[3].anchor
    del trail.seals[3]
    assert trail.broken() is None
    found = trail.broken(expected=anchor)
    assert found is not None
    assert (found.seal, "cut off" in found.text) == (4, True)


def test_a_trail_that_was_sealed_again_is_found_with_an_anchor(trail: Trail) -> None:
    anchor = trail.seals[3].anchor
    del trail.seals[3]
    trail.seal(a_row(50))
    found = trail.broken(expected=anchor)
    assert found is not None
    assert "sealed again" in found.text


def retained(trail: Trail, last: int) -> None:
    """Delete the first seals with their rows, as retention does."""
    deleted, trail.seals = trail.seals[:last], trail.seals[last:]
    for seal in deleted:
        for row_id in seal.ids:
            del trail.rows[row_id]
    anchor = deleted[-1].anchor
    trail.start = ChainStart(anchor, trail.chain.current, trail.chain.proof(anchor, trail.chain.current))


def test_a_trail_is_whole_after_retention(trail: Trail) -> None:
    kept_elsewhere = trail.seals[0].anchor
    retained(trail, 2)
    assert trail.broken() is None
    assert trail.broken(expected=kept_elsewhere) is None
    assert trail.broken(expected=trail.start.anchor) is None
    assert trail.broken(expected=Anchor(2, bytes(32))) is not None


def test_a_start_that_retention_did_not_move_is_found(trail: Trail) -> None:
    anchor = trail.seals[1].anchor
    retained(trail, 2)
    trail.start = ChainStart(anchor, 1, bytes(32))
    found = trail.broken()
    assert found is not None
    assert "start of the chain was moved" in found.text


def test_deleted_seals_at_the_start_are_found(trail: Trail) -> None:
    del trail.seals[:2]
    assert trail.broken() == Break("this seal was deleted", 1)


def test_keys_rotate_and_a_forgotten_key_is_named(trail: Trail) -> None:
    trail.chain = Chain(TABLE, NEW)
    trail.seal(a_row(60))
    assert [seal.key_id for seal in trail.seals] == [1, 1, 1, 1, 2]
    assert trail.broken() is None
    trail.chain = Chain(TABLE, KeyRing.parse("2:" + "b2" * 32))
    found = trail.broken()
    assert found is not None
    assert "key 1, which is not in AUDIT_KEYS" in found.text


def emptied(row: dict[str, Any], erasure: UUID) -> None:
    row |= {"user_id": None, "network": "", "salt": None, "erased_by": erasure}


def test_an_erasure_leaves_the_trail_whole(trail: Trail) -> None:
    erasure = a_row(40, action="erased", detail="2", user_id=None, network="")
    for seal in trail.seals[:2]:
        emptied(trail.rows[seal.ids[0]], erasure["id"])
    assert trail.broken(erasure) is None  # the erasure itself waits for its seal
    trail.seal(erasure)
    assert trail.broken() is None


def test_a_row_that_no_erasure_emptied_is_named(trail: Trail) -> None:
    row_id = trail.seals[1].ids[0]
    emptied(trail.rows[row_id], uuid4())
    found = trail.broken()
    assert found is not None
    assert (found.row_id, "no erasure in the trail explains it" in found.text) == (row_id, True)


def test_an_erasure_explains_no_more_rows_than_it_emptied(trail: Trail) -> None:
    erasure = a_row(40, action="erased", detail="1", user_id=None, network="")
    for seal in trail.seals[:2]:
        emptied(trail.rows[seal.ids[0]], erasure["id"])
    trail.seal(erasure)
    assert trail.broken() is not None


def test_another_action_is_no_erasure(trail: Trail) -> None:
    other = a_row(40, action="log_in", detail="1")
    emptied(trail.rows[trail.seals[0].ids[0]], other["id"])
    trail.seal(other)
    assert trail.broken() is not None


def test_a_row_that_is_said_to_be_emptied_says_nothing(trail: Trail) -> None:
    erasure = a_row(40, action="erased", detail="1", user_id=None, network="")
    row = trail.rows[trail.seals[0].ids[0]]
    row["erased_by"], row["user_id"] = erasure["id"], 8
    trail.seal(erasure)
    found = trail.broken()
    assert found is not None
    assert found.text == "this row was changed: it is not as an erasure leaves it"


def test_lists_of_values_do_not_run_together() -> None:
    chain, row = Chain(TABLE, OLD), a_row(0, action="ab", detail="c")
    assert chain.digests(row, 1) != chain.digests(row | {"action": "a", "detail": "bc"}, 1)
    assert chain.digests(row | {"user_id": None}, 1) != chain.digests(row | {"user_id": ""}, 1)


@pytest.mark.parametrize("text", ["", "1", "1:zz", "0:" + "00" * 32, "1:" + "00" * 31, "x:" + "00" * 32])
def test_text_that_is_no_anchor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Anchor.parse(text)


def test_an_anchor_is_read_as_it_is_written(trail: Trail) -> None:
    anchor = trail.seals[2].anchor
    assert Anchor.parse(str(anchor)) == anchor
