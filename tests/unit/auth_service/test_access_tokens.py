"""Access tokens: which ones are accepted, and with which keys."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from auth_service.tokens.access_tokens import LIFETIME, AccessTokens, _OneAlgorithm
from shared.encoding import to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.keys import KeyRing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = "1:" + "11" * 32, "2:" + "22" * 32
USER, SESSION = 2**50, uuid4()


def tokens(ring: str = f"{NEW},{OLD}", issuer: str = "haoma") -> AccessTokens:
    return AccessTokens(KeyRing.parse(ring), issuer)


def refused(token: str, *, by: AccessTokens | None = None, now: datetime = NOW) -> bool:
    with pytest.raises(ServiceError) as refusal:
        (by or tokens()).session_of(token, now=now)
    return refusal.value.code is ErrorCode.UNAUTHENTICATED


def forged(change: Callable[[dict[str, Any]], None], key: Any = None, **header: Any) -> str:
    """A token with changed claims, signed with the current key or another one."""
    signer = tokens()
    claims = jwt.decode(signer.sign(USER, SESSION, now=NOW), signer._keys, registry=_OneAlgorithm()).claims
    change(claims)
    head = {"alg": "EdDSA", "kid": signer._current.kid} | header
    head = {name: value for name, value in head.items() if value is not None}
    registry = _OneAlgorithm() if head["alg"] == "EdDSA" else None
    return jwt.encode(head, claims, key or signer._current, algorithms=[head["alg"]], registry=registry)


def test_a_token_is_valid_for_its_session_for_fifteen_minutes() -> None:
    token = tokens().sign(USER, SESSION, now=NOW)

    assert tokens().session_of(token, now=NOW) == SESSION
    assert tokens().session_of(token, now=NOW + LIFETIME - timedelta(seconds=1)) == SESSION
    assert refused(token, now=NOW + LIFETIME)
    assert timedelta(minutes=15) == LIFETIME


def test_an_unchanged_token_is_accepted_so_each_forgery_below_fails_for_its_own_reason() -> None:
    assert tokens().session_of(forged(lambda _: None), now=NOW) == SESSION


@pytest.mark.parametrize("claim", ["iss", "sub", "sid", "iat", "exp", "jti"])
def test_a_token_without_one_of_its_claims_is_refused(claim: str) -> None:
    assert refused(forged(lambda claims: claims.pop(claim)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "another"},
        {"exp": "tomorrow"},
        {"exp": None},
        {"exp": int(NOW.timestamp()) - 1},
        {"iat": int(NOW.timestamp()) + 60},
        {"nbf": int(NOW.timestamp()) + 60},
        {"sid": "not a session"},
        {"sid": 7},
        {"sid": None},
        {"sub": 7},
    ],
    ids=str,
)
def test_a_token_with_a_wrong_claim_is_refused(wrong: dict[str, Any]) -> None:
    assert refused(forged(lambda claims: claims.update(wrong)))


def test_a_token_of_another_issuer_with_the_same_keys_is_refused() -> None:
    assert refused(tokens(issuer="elsewhere").sign(USER, SESSION, now=NOW))


def test_a_token_with_no_key_id_an_unknown_one_or_the_wrong_one_is_refused() -> None:
    assert refused(forged(lambda _: None, kid="unknown"))
    assert refused(forged(lambda _: None, kid=tokens(OLD)._current.kid))
    assert refused(forged(lambda _: None, kid=None))


def test_a_token_without_a_signature_is_refused() -> None:
    head, body, _ = tokens().sign(USER, SESSION, now=NOW).split(".")
    none = to_base64url(b'{"alg":"none"}')

    for token in (f"{none}.{body}.", f"{none}.{body}", f"{head}.{body}.", f"{none}.{body}.{to_base64url(b'x')}"):
        assert refused(token)


def test_a_token_with_another_algorithm_is_refused_even_when_its_key_is_our_public_key() -> None:
    public = OctKey.import_key(tokens()._current.raw_value.public_key().public_bytes_raw())

    assert refused(forged(lambda _: None, public, alg="HS256"))
    assert refused(forged(lambda _: None, None, alg="Ed25519"))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "." * 400, "a.b.c.d.e"])
def test_malformed_text_is_refused(text: str) -> None:
    assert refused(text)


def test_a_token_changed_by_one_character_is_refused() -> None:
    token = tokens().sign(USER, SESSION, now=NOW)
    for index in range(0, len(token), 7):
        other = "A" if token[index] != "A" else "B"
        assert refused(token[:index] + other + token[index + 1 :])


def test_keys_are_rotated_without_refusing_a_valid_token() -> None:
    before, added, rotated, after = OLD, f"{OLD},{NEW}", f"{NEW},{OLD}", NEW
    old = tokens(before).sign(USER, SESSION, now=NOW)
    new = tokens(rotated).sign(USER, SESSION, now=NOW)

    for ring in (before, added, rotated):
        assert tokens(ring).session_of(old, now=NOW) == SESSION
    for ring in (added, rotated, after):
        assert tokens(ring).session_of(new, now=NOW) == SESSION
    assert refused(old, by=tokens(after))


def test_public_keys_verify_tokens_and_contain_nothing_private() -> None:
    published = tokens().public_keys()

    assert [set(key.model_dump()) for key in published] == [{"kty", "crv", "x", "kid", "use", "alg"}] * 2
    assert [key.kid for key in published] == [tokens(NEW)._current.kid, tokens(OLD)._current.kid]
    key = OKPKey.import_key(published[0].model_dump())
    claims = jwt.decode(tokens().sign(USER, SESSION, now=NOW), key, registry=_OneAlgorithm()).claims
    assert (claims["sub"], UUID(claims["sid"])) == (str(USER), SESSION)
