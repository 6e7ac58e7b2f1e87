"""Tickets prove a number. They cannot be read, forged, used after they expire or used for another purpose."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.encoding import from_base64url, to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164
from shared.tickets import Ticket, TicketCodec

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ONE, TWO = "11" * 32, "22" * 32
CODEC = TicketCodec(KeyRing.parse(f"1:{ONE}"))
TICKET = Ticket(UUID(int=7), E164("+8613800138000"), Purpose.SIGN_UP, NOW + timedelta(microseconds=1))


def test_a_sealed_ticket_can_be_opened() -> None:
    assert CODEC.open(CODEC.seal(TICKET), Purpose.SIGN_UP, now=NOW) == TICKET


def test_a_ticket_is_good_for_ten_minutes_and_keeps_the_moment_of_its_issue_exactly() -> None:
    opened = CODEC.open(CODEC.seal(TICKET), Purpose.SIGN_UP, now=TICKET.expires_at - timedelta(microseconds=1))
    assert (opened.issued_at, opened.expires_at) == (TICKET.issued_at, TICKET.issued_at + timedelta(minutes=10))


def test_a_ticket_to_erase_is_good_for_five_minutes_and_every_ticket_is_fresh_for_as_long() -> None:
    erasing = replace(TICKET, purpose=Purpose.ERASE)
    after = TICKET.issued_at + timedelta(minutes=5)

    assert CODEC.open(CODEC.seal(erasing), Purpose.ERASE, now=after - timedelta(microseconds=1)) == erasing
    with pytest.raises(ServiceError):
        CODEC.open(CODEC.seal(erasing), Purpose.ERASE, now=after)
    for ticket in (TICKET, erasing):
        assert (ticket.is_fresh(after - timedelta(microseconds=1)), ticket.is_fresh(after)) == (True, False)


def test_a_ticket_that_only_repeats_says_so_and_reads_otherwise() -> None:
    repeating = replace(TICKET, repeats_only=True)
    assert CODEC.open(CODEC.seal(repeating), Purpose.SIGN_UP, now=NOW).repeats_only
    assert not CODEC.open(CODEC.seal(TICKET), Purpose.SIGN_UP, now=NOW).repeats_only
    assert CODEC.seal(repeating) != CODEC.seal(TICKET)


def test_the_same_verification_always_gives_the_same_ticket() -> None:
    assert CODEC.seal(TICKET) == CODEC.seal(TICKET)


def test_a_ticket_reveals_nothing() -> None:
    assert b"13800138000" not in from_base64url(CODEC.seal(TICKET))


@pytest.mark.parametrize(
    ("purpose", "now"),
    [(Purpose.RESET_PASSWORD, NOW), (Purpose.SIGN_UP, TICKET.expires_at)],
    ids=["another purpose", "expired"],
)
def test_a_ticket_is_refused_for_another_purpose_and_when_it_has_expired(purpose: Purpose, now: datetime) -> None:
    with pytest.raises(ServiceError) as refusal:
        CODEC.open(CODEC.seal(TICKET), purpose, now=now)
    assert refusal.value.code is ErrorCode.CODE_REFUSED


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_ticket_with_any_byte_changed_is_refused(position: int, difference: int) -> None:
    raw = bytearray(from_base64url(CODEC.seal(TICKET)))
    raw[position % len(raw)] ^= difference
    with pytest.raises(ServiceError):
        CODEC.open(to_base64url(bytes(raw)), Purpose.SIGN_UP, now=NOW)


@given(st.text(max_size=100))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ServiceError):
        CODEC.open(text, Purpose.SIGN_UP, now=NOW)


def test_a_ticket_of_the_previous_key_can_be_opened_until_the_key_is_removed() -> None:
    sealed = CODEC.seal(TICKET)
    rotated = TicketCodec(KeyRing.parse(f"2:{TWO},1:{ONE}"))
    assert rotated.open(sealed, Purpose.SIGN_UP, now=NOW) == TICKET
    with pytest.raises(ServiceError):
        TicketCodec(KeyRing.parse(f"2:{TWO}")).open(sealed, Purpose.SIGN_UP, now=NOW)


@pytest.mark.parametrize("text", ["", "x", "1:", f"0:{ONE}", f"256:{ONE}", "1:abcd", f"1:{ONE},1:{TWO}", ONE])
def test_a_malformed_key_ring_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        KeyRing.parse(text)
    assert ONE not in str(refusal.value)
    assert ONE not in repr(KeyRing.parse(f"1:{ONE}"))


@given(st.binary(min_size=1, max_size=64))
def test_base64url_is_decoded_only_in_its_canonical_form(raw: bytes) -> None:
    assert from_base64url(to_base64url(raw)) == raw
    with pytest.raises(ValueError, match="base64url"):
        from_base64url(to_base64url(raw) + "=")
