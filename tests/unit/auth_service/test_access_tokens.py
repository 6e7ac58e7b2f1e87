"""Access tokens: which ones are accepted, and with which keys."""

import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey

from auth_service.tokens.access_tokens import LIFETIME, AccessTokens, OurAlgorithms
from auth_service.tokens.signing_keys import seeded_keys
from shared.encoding import from_base64url, to_base64url
from shared.internal_api.public_keys import JwtAlgorithm
from shared.keys import KeyRing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = "1:" + "11" * 32, "2:" + "22" * 32
USER, SESSION = 2**50, uuid4()
EDDSA, ES256 = JwtAlgorithm.EDDSA, JwtAlgorithm.ES256
VECTORS = [
    (
        EDDSA,
        "Ed25519",
        "0EqyMnQrtKs6E2i9RhXk5tAiSrcaAWuvhSCjMsl3hzc",
        None,
        "vaJPtef-vPnGAIWE19qlMPDYWGaER3zeeJM_3r1WO7E",
    ),
    (
        ES256,
        "P-256",
        "-HXlqCw44e003cH0AA5XpLS37Jt_oZ1-eQgIs91dvTg",
        "jEGF66p6pnQ-BE4C4A2VIStFgq1pNxP0Uk1-3Wbmlyw",
        "JAq1ZOfqZNYTFHKEgZ5MRPZRlPgs9lJXkstkfe0OMPE",
    ),
]
"""The public keys of the seed ``11`` * 32: algorithm, curve, x, y and thumbprint."""


def tokens(ring: str = f"{NEW},{OLD}", issuer: str = "haoma", **options: Any) -> AccessTokens:
    return AccessTokens(KeyRing.parse(ring), issuer, **options)


def refused(token: str, *, by: AccessTokens | None = None, now: datetime = NOW) -> bool:
    return (by or tokens()).session_of(token, now=now) is None


def claims_of(token: str, keys: KeySet) -> dict[str, Any]:
    return jwt.decode(token, keys, registry=OurAlgorithms()).claims


def forged(
    change: Callable[[dict[str, Any]], None], key: Any = None, signer: AccessTokens | None = None, **header: Any
) -> str:
    """A token without a MAC and with changed claims, signed with the current key or another one."""
    signer = signer or tokens()
    claims = claims_of(signer.sign(USER, SESSION, now=NOW), signer._keys) | {"jti": "0f" * 16}
    change(claims)
    head = signer._header | header
    head = {name: value for name, value in head.items() if value is not None}
    registry = OurAlgorithms() if head["alg"] in ("EdDSA", "ES256") else None
    return jwt.encode(head, claims, key or signer._current, algorithms=[head["alg"]], registry=registry)


def test_a_token_is_valid_for_its_session_for_fifteen_minutes() -> None:
    token = tokens().sign(USER, SESSION, now=NOW)

    assert tokens().session_of(token, now=NOW) == (SESSION, 0)
    assert tokens().session_of(token, now=NOW + LIFETIME - timedelta(seconds=1)) == (SESSION, 0)
    assert refused(token, now=NOW + LIFETIME)
    assert timedelta(minutes=15) == LIFETIME


def test_a_token_has_no_time_before_which_it_is_refused_because_clocks_of_phones_and_servers_differ() -> None:
    claims = claims_of(tokens().sign(USER, SESSION, now=NOW), tokens()._keys)
    assert claims.keys() == {"iss", "sub", "aud", "sid", "iat", "exp", "jti"}


def test_an_unchanged_token_is_accepted_so_each_forgery_below_fails_for_its_own_reason() -> None:
    assert tokens().session_of(forged(lambda _: None), now=NOW) == (SESSION, 0)


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "sid", "iat", "exp", "jti"])
def test_a_token_without_one_of_its_claims_is_refused(claim: str) -> None:
    assert refused(forged(lambda claims: claims.pop(claim)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": []},
        {"aud": 7},
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
    assert refused(forged(lambda _: None, OKPKey.import_key(tokens()._current.raw_value), alg="Ed25519"))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "é.é.é", "." * 400, "a.b.c.d.e"])
def test_malformed_text_is_refused(text: str) -> None:
    assert refused(text)


def with_character(token: str, index: int) -> str:
    """The token with another character at this place."""
    return token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]


@pytest.mark.parametrize("algorithm", JwtAlgorithm)
def test_a_token_whose_header_or_claims_are_changed_by_one_character_is_refused(algorithm: JwtAlgorithm) -> None:
    signer = tokens(algorithm=algorithm)
    token = signer.sign(USER, SESSION, now=NOW)
    for index in range(token.rindex(".") + 1):
        assert refused(with_character(token, index), by=signer)


def test_the_signature_is_for_others_so_another_one_of_its_form_changes_nothing_for_us() -> None:
    token = tokens().sign(USER, SESSION, now=NOW)
    claims, _, signature = token.rpartition(".")

    assert tokens().session_of(with_character(token, len(claims) + 1), now=NOW) == (SESSION, 0)
    for other in ("", "A", signature[1:], signature + "A", signature[1:] + "=", signature + "\n"):
        assert refused(f"{claims}.{other}")
    with pytest.raises(JoseError):
        claims_of(with_character(token, len(claims) + 1), tokens()._keys)


def with_mac(change: Callable[[dict[str, Any]], None], ring: str = OLD, issuer: str = "haoma") -> str:
    """A token with changed claims and no right signature, but with the MAC that belongs to them."""
    signer = tokens(ring, issuer)
    claims = json.loads(from_base64url(signer.sign(USER, SESSION, now=NOW).split(".")[1]))
    claims["jti"] = claims["jti"].partition(".")[0]
    change(claims)
    completed = signer._macs.complete(signer._encoded, json.dumps(claims, separators=(",", ":")).encode())
    return f"{signer._encoded}.{to_base64url(completed)}.{'A' * 86}"


def test_the_mac_alone_proves_a_token_to_us() -> None:
    assert tokens(OLD).session_of(with_mac(lambda _: None), now=NOW) == (SESSION, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"exp": int(NOW.timestamp())},
        {"iat": int(NOW.timestamp()) + 60},
    ],
    ids=str,
)
def test_a_token_with_a_right_mac_and_a_wrong_claim_is_refused(wrong: dict[str, Any]) -> None:
    assert refused(with_mac(lambda claims: claims.update(wrong)), by=tokens(OLD))


def test_a_mac_of_another_key_is_refused() -> None:
    foreign, ours = with_mac(lambda _: None, NEW), tokens(OLD)
    assert refused(foreign, by=ours)
    assert refused(f"{ours._encoded}.{foreign.partition('.')[2]}", by=ours)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_no_key_of_a_seed_is_the_key_of_the_mac(place: int) -> None:
    """The published key, the seed itself, and the seed as the key of the MAC: none of them makes a MAC."""
    seed = bytes.fromhex("11" * 32)
    key = (tokens(OLD)._current.raw_value.public_key().public_bytes_raw(), seed, b"")[place]
    head, body, _ = tokens(OLD).sign(USER, SESSION, now=NOW).split(".")
    covered = from_base64url(body)[:-24]
    mac = to_base64url(hmac.digest(key, head.encode() + b"." + covered, "sha256")[:16]).encode()
    body = to_base64url(covered + mac + b'"}')
    assert refused(f"{head}.{body}.{'A' * 86}", by=tokens(OLD))


def test_a_token_of_the_release_before_has_no_mac_and_its_signature_decides() -> None:
    old = forged(lambda _: None)

    assert tokens().session_of(old, now=NOW) == (SESSION, 0)
    for index in range(0, len(old), 7):
        assert refused(with_character(old, index))


def test_each_token_has_an_id_of_its_own() -> None:
    ids = {claims_of(tokens().sign(USER, SESSION, now=NOW), tokens()._keys)["jti"] for _ in range(20)}
    assert len(ids) == 20


def test_the_audience_is_the_issuer_unless_there_is_another_one() -> None:
    shop = tokens(audience="shop")

    assert claims_of(tokens().sign(USER, SESSION, now=NOW), tokens()._keys)["aud"] == "haoma"
    assert claims_of(shop.sign(USER, SESSION, now=NOW), shop._keys)["aud"] == "shop"
    assert shop.session_of(shop.sign(USER, SESSION, now=NOW), now=NOW) == (SESSION, 0)
    assert refused(shop.sign(USER, SESSION, now=NOW))
    assert refused(tokens().sign(USER, SESSION, now=NOW), by=shop)


@pytest.mark.parametrize(("before", "after"), [(EDDSA, ES256), (ES256, EDDSA)])
def test_a_change_of_the_algorithm_refuses_no_valid_token(before: JwtAlgorithm, after: JwtAlgorithm) -> None:
    old, new = (tokens(algorithm=each) for each in (before, after))

    for signer, verifier in ((old, old), (old, new), (new, old), (new, new)):
        assert verifier.session_of(signer.sign(USER, SESSION, now=NOW), now=NOW) == (SESSION, 0)


@pytest.mark.parametrize("algorithm", JwtAlgorithm)
def test_a_key_verifies_its_own_algorithm_only(algorithm: JwtAlgorithm) -> None:
    signer, other = tokens(algorithm=algorithm), tokens(algorithm=EDDSA if algorithm is ES256 else ES256)
    kid, alg, key = (other._header["kid"], other._header["alg"], other._current)

    assert signer.session_of(forged(lambda _: None, signer=signer), now=NOW) == (SESSION, 0)
    assert refused(forged(lambda _: None, signer=signer, kid=kid), by=signer)
    assert refused(forged(lambda _: None, key, signer, alg=alg), by=signer)
    with pytest.raises(JoseError):
        forged(lambda _: None, key, signer, kid=kid)


def test_an_elliptic_key_that_is_not_ours_is_refused() -> None:
    signer = tokens(algorithm=ES256)

    assert refused(forged(lambda _: None, ECKey.generate_key("P-256"), signer), by=signer)
    assert refused(forged(lambda _: None, ECKey.generate_key("secp256k1"), signer, alg="ES256K"), by=signer)


def test_the_keys_of_a_seed_never_change() -> None:
    """Vectors: another derivation would refuse every token, and publish unknown keys."""
    published = tokens(OLD).public_keys().keys

    assert [(key.alg, key.crv, key.x, key.y, key.kid) for key in published] == VECTORS


def test_keys_are_rotated_without_refusing_a_valid_token() -> None:
    before, added, rotated, after = OLD, f"{OLD},{NEW}", f"{NEW},{OLD}", NEW
    old = tokens(before).sign(USER, SESSION, now=NOW)
    new = tokens(rotated).sign(USER, SESSION, now=NOW)

    for ring in (before, added, rotated):
        assert tokens(ring).session_of(old, now=NOW) == (SESSION, 0)
    for ring in (added, rotated, after):
        assert tokens(ring).session_of(new, now=NOW) == (SESSION, 0)
    assert refused(old, by=tokens(after))


@pytest.mark.parametrize("algorithm", JwtAlgorithm)
def test_public_keys_verify_tokens_and_contain_nothing_private(algorithm: JwtAlgorithm) -> None:
    published = tokens(algorithm=algorithm).public_keys()
    fields = {EDDSA: {"kty", "crv", "x", "kid", "use", "alg"}, ES256: {"kty", "crv", "x", "y", "kid", "use", "alg"}}

    assert published.issuer == "haoma"
    other = EDDSA if algorithm is ES256 else ES256
    assert [key.alg for key in published.keys] == [algorithm, algorithm, other, other]
    assert [set(key.model_dump()) for key in published.keys] == [fields[key.alg] for key in published.keys]
    signers = [tokens(ring, algorithm=each)._current.kid for each in (algorithm, other) for ring in (NEW, OLD)]
    assert [key.kid for key in published.keys] == signers
    key_set = KeySet.import_key_set(published.model_dump(mode="json"))
    claims = claims_of(tokens(algorithm=algorithm).sign(USER, SESSION, now=NOW), key_set)
    assert (claims["sub"], UUID(claims["sid"])) == (str(USER), SESSION)


def test_each_key_id_is_the_thumbprint_of_its_key() -> None:
    assert all(key.kid == key.thumbprint() for key, _ in seeded_keys(KeyRing.parse(f"{NEW},{OLD}"), EDDSA))
