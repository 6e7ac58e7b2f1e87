"""Which tokens of another system are strong enough to be imported."""

import secrets
import string
import uuid

import pytest

from auth_service.imported_sessions.token_strength import is_guessable

LOWER = string.ascii_lowercase + string.digits


@pytest.mark.parametrize(
    "token",
    [
        str(uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e")),
        "0F8FAD5BD9CB469FA16570867728950E",
        "5d7845ac6ee7cfffafc5fe5f35cf666d",
        "q3k8r4bq7vbcv2m1k0s8d5n1fe",
        "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",
        "12|kT3n8vQ0xZr5mW7pL2sD9fG4hJ6bC1yAeU8iO0qB",
        "oYJ2dGVzdC1zdHJpbmctMQ",
        "s:J7sN2bQm0Xw4eR6tY8uI1oP3aS5dF7gH.Zm9vYmFyYmF6",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "84017263955184027364195027",
    ],
    ids=str,
)
def test_what_systems_make_of_random_bytes_is_strong(token: str) -> None:
    assert not is_guessable(token)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "100015",
        "k3jd8s0a2m5q",
        "13800138000-1551752430",
        "8401726395518402736419",
        "kT3n8vQ0xZr5mW7pL2s",
        "a" * 64,
        "ab" * 32,
        "1234567890123456|short",
        "0f8fad5b-d9cb-469f-",
        "-" * 40,
    ],
    ids=str,
)
def test_what_is_short_or_of_few_characters_is_guessable(token: str) -> None:
    assert is_guessable(token)


def test_no_random_token_of_a_usual_kind_is_refused() -> None:
    """A format is accepted or not: no user of it is left out by bad luck."""
    kinds = [
        lambda: secrets.token_hex(16),
        lambda: "".join(secrets.choice(LOWER) for _ in range(26)),
        lambda: secrets.token_urlsafe(16),
        lambda: str(uuid.uuid4()),
    ]
    assert [token for kind in kinds for token in (kind() for _ in range(2_000)) if is_guessable(token)] == []
