"""Numbers that sms-service stores can be opened with its own keys alone, and through a replacement of the key."""

from itertools import pairwise

import pytest
from cryptography.exceptions import InvalidTag
from support.principals import strong_secret

from shared.keys import KeyRing
from shared.phone import E164
from sms_service.number_seal import NumberSeal

NUMBER = E164("+8613800138000")
OLD, NEW = (f"{key_id}:{strong_secret(str(key_id))}" for key_id in (1, 2))


def seal(keys: str) -> NumberSeal:
    return NumberSeal(KeyRing.parse(keys))


def test_a_sealed_number_can_be_opened_and_reveals_nothing() -> None:
    sealed = seal(OLD).seal(NUMBER)
    assert b"138" not in sealed
    assert seal(OLD).open(sealed) == NUMBER


def test_while_the_key_is_replaced_every_process_opens_what_the_others_seal() -> None:
    steps = [OLD, f"{OLD},{NEW}", f"{NEW},{OLD}", NEW]
    for before, after in pairwise(steps):
        if after != NEW:  # the old key leaves when nothing that it sealed is stored
            assert seal(after).open(seal(before).seal(NUMBER)) == NUMBER
        assert seal(before).open(seal(after).seal(NUMBER)) == NUMBER


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01short", seal(OLD).seal(NUMBER)[1:], seal(NEW).seal(NUMBER)])
def test_what_no_key_of_the_ring_has_sealed_is_refused(sealed: bytes) -> None:
    with pytest.raises(InvalidTag):
        seal(OLD).open(sealed)


def test_a_changed_byte_is_noticed() -> None:
    changed = bytearray(seal(OLD).seal(NUMBER))
    changed[-1] ^= 1
    with pytest.raises(InvalidTag):
        seal(OLD).open(bytes(changed))
