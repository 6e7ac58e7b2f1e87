"""How long a code lives, and which code is sent again: pure rules, with the time passed in."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from sms_service.otp import CODE_LIFETIME
from sms_service.verification.limits import NumberState, Verification, next_verification

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def ago(**past: float) -> datetime:
    return NOW - timedelta(**past)


def state(verification: Verification | None = None) -> NumberState:
    return NumberState(NOW, 7, (), verification)


def verification(**changed: object) -> Verification:
    defaults = {"created_at": ago(minutes=1), "expires_at": ago(minutes=1) + CODE_LIFETIME, "tries": 2, "version": 4}
    return Verification(uuid4(), 1, **(defaults | changed))


def test_a_live_verification_is_sent_again_unchanged() -> None:
    current = verification()
    again = next_verification(state(current), uuid4(), 9, registered=False)
    assert (again.verification_id, again.code_key_id) == (current.verification_id, 1)
    assert (again.expires_at, again.tries, again.version) == (current.expires_at, 2, 5)


@pytest.mark.parametrize(
    "unusable",
    [
        None,
        verification(tries=5),
        verification(verified_at=ago(seconds=1)),
        verification(expires_at=NOW),
    ],
    ids=["none", "exhausted", "verified", "expired"],
)
def test_a_new_verification_is_made_when_none_is_live(unusable: Verification | None) -> None:
    identity = uuid4()
    made = next_verification(state(unusable), identity, 9, registered=False)
    assert made == Verification(identity, 9, NOW, NOW + timedelta(minutes=5), version=1)


def test_a_verification_is_live_until_its_last_moment() -> None:
    current = verification(expires_at=NOW + TICK, tries=4)
    assert current.is_live(NOW, registered=False)
    assert not current.is_live(NOW + TICK, registered=False)


@pytest.mark.parametrize(("tries", "known_tries", "is_live"), [(5, 4, True), (5, 5, False), (0, 5, False)])
def test_strangers_cannot_end_the_code_of_a_number_with_an_account(tries: int, known_tries: int, is_live: bool) -> None:
    current = verification(tries=tries, known_tries=known_tries)
    assert current.is_live(NOW, registered=True) is is_live
