"""Sealed numbers cannot be read, changed, or used for another purpose."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.flows.sealed_number import LIFETIME, NumberSeal
from shared.encoding import from_base64url, to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NUMBER = E164("+8613800138000")
SIGN_UP = Purpose.SIGN_UP
OLD, NEW = "1:" + "a1" * 32, "2:" + "b2" * 32


def seal(ring: str = OLD) -> NumberSeal:
    return NumberSeal(KeyRing.parse(ring))


def refused(text: str, *, by: NumberSeal | None = None, purpose: Purpose = SIGN_UP, now: datetime = NOW) -> bool:
    try:
        (by or seal()).unseal(text, purpose, now=now)
    except ServiceError as refusal:
        return refusal.code is ErrorCode.CODE_REFUSED
    return False


@pytest.mark.parametrize("number", ["+8613800138000", "+85251234567", "+6834000", "+491234567890123"])
def test_a_sealed_number_can_be_unsealed(number: str) -> None:
    assert seal().unseal(seal().seal(E164(number), SIGN_UP, now=NOW), SIGN_UP, now=NOW) == number


def test_a_seal_is_valid_for_ten_minutes() -> None:
    text = seal().seal(NUMBER, SIGN_UP, now=NOW)

    assert timedelta(minutes=10) == LIFETIME
    assert seal().unseal(text, SIGN_UP, now=NOW + LIFETIME - timedelta(seconds=1)) == NUMBER
    assert refused(text, now=NOW + LIFETIME)


def test_a_seal_is_refused_for_another_purpose() -> None:
    assert refused(seal().seal(NUMBER, SIGN_UP, now=NOW), purpose=Purpose.RESET_PASSWORD)


def test_a_change_of_any_bit_is_refused() -> None:
    raw = from_base64url(seal().seal(NUMBER, SIGN_UP, now=NOW))

    for position in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[position // 8] ^= 1 << position % 8
        assert refused(to_base64url(bytes(changed)))


@pytest.mark.parametrize("text", ["", "x", "AQ", "AAAA", "号码", "=", "A" * 4000])
def test_text_that_is_no_seal_is_refused(text: str) -> None:
    assert refused(text)


def test_seals_differ_for_one_number_and_have_the_same_length_for_all() -> None:
    texts = [seal().seal(number, SIGN_UP, now=NOW) for number in (NUMBER, NUMBER, E164("+6834000"))]

    assert len(set(texts)) == 3
    assert len({len(text) for text in texts}) == 1
    assert not set(from_base64url(texts[0])[1:17]) >= set(b"13800138000")


def test_a_seal_stays_valid_while_its_key_is_rotated() -> None:
    text = seal(OLD).seal(NUMBER, SIGN_UP, now=NOW)

    assert seal(f"{NEW},{OLD}").unseal(text, SIGN_UP, now=NOW) == NUMBER
    assert refused(text, by=seal(NEW))
