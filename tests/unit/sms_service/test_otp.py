"""Codes are derived: the same for the same verification, unrelated to any other."""

from collections import Counter
from secrets import token_bytes
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164
from sms_service.otp import CodeDeriver, hotp, same

RING = KeyRing.parse("2:" + "b2" * 32 + ",1:" + "a1" * 32)
NUMBER = E164("+8613800138000")
IDENTITY = UUID("018f0000-0000-7000-8000-000000000001")
DERIVER = CodeDeriver(RING)


def test_a_code_is_six_digits_and_always_the_same() -> None:
    code = DERIVER.code(2, IDENTITY, NUMBER, Purpose.SIGN_UP)
    assert len(code) == 6
    assert code.isascii()
    assert code.isdigit()
    assert code == CodeDeriver(RING).code(2, IDENTITY, NUMBER, Purpose.SIGN_UP)


def test_the_derivation_of_codes_does_not_change() -> None:
    # A change would make every code unusable that is on its way while two releases run.
    assert DERIVER.code(1, IDENTITY, NUMBER, Purpose.SIGN_UP) == "899432"


def test_a_code_is_that_of_rfc_4226() -> None:
    for key in (token_bytes(32) for _ in range(500)):
        assert hotp(key) == HOTP(key, 6, SHA256()).generate(0).decode()


def test_a_code_depends_on_key_verification_number_and_purpose() -> None:
    codes = {
        DERIVER.code(2, IDENTITY, NUMBER, Purpose.SIGN_UP),
        DERIVER.code(1, IDENTITY, NUMBER, Purpose.SIGN_UP),
        DERIVER.code(2, UUID(int=IDENTITY.int + 1), NUMBER, Purpose.SIGN_UP),
        DERIVER.code(2, IDENTITY, E164("+8613800138001"), Purpose.SIGN_UP),
        DERIVER.code(2, IDENTITY, NUMBER, Purpose.SIGN_IN),
    }
    assert len(codes) == 5


def test_codes_are_spread_evenly_and_keep_their_leading_zeros() -> None:
    first = Counter(DERIVER.code(2, uuid4(), NUMBER, Purpose.SIGN_UP)[0] for _ in range(5000))
    assert set(first) == set("0123456789")
    assert min(first.values()) > 350


def test_only_the_code_matches() -> None:
    code = DERIVER.code(2, IDENTITY, NUMBER, Purpose.SIGN_UP)
    assert DERIVER.matches(code, 2, IDENTITY, NUMBER, Purpose.SIGN_UP)
    full_width = "".join(chr(ord(digit) - ord("0") + ord("０")) for digit in code)
    for text in ("", code[:5], code + "0", " " + code, full_width, f"{(int(code) + 1) % 10**6:06d}"):
        assert not DERIVER.matches(text, 2, IDENTITY, NUMBER, Purpose.SIGN_UP)


def test_new_verifications_use_the_current_key() -> None:
    assert DERIVER.current_key_id == 2


def test_a_key_that_left_the_ring_derives_no_code() -> None:
    with pytest.raises(LookupError):
        DERIVER.code(3, IDENTITY, NUMBER, Purpose.SIGN_UP)


def test_the_comparison_accepts_any_text() -> None:
    assert same("909", "909")
    assert not same("９０９", "909")
