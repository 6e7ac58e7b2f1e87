"""OpenID Connect Discovery: only of an issuer that is a URL, and only what is true."""

import pytest

from gateway.http.discovery import openid_configuration
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.public_keys import IssuerKeys, JwtAlgorithm, PublicKey

EDDSA = PublicKey(kty="OKP", crv="Ed25519", x="x", kid="1", use="sig", alg=JwtAlgorithm.EDDSA)
ES256 = PublicKey(kty="EC", crv="P-256", x="x", y="y", kid="2", use="sig", alg=JwtAlgorithm.ES256)


@pytest.mark.parametrize(
    ("issuer", "keys_address"),
    [
        ("https://id.example.com", "https://id.example.com/.well-known/jwks.json"),
        ("https://id.example.com/", "https://id.example.com/.well-known/jwks.json"),
        ("https://example.com/login", "https://example.com/login/.well-known/jwks.json"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/.well-known/jwks.json"),
        ("http://[::1]:8080", "http://[::1]:8080/.well-known/jwks.json"),
    ],
)
def test_an_issuer_that_is_a_url_has_its_keys_below_it(issuer: str, keys_address: str) -> None:
    configuration = openid_configuration(IssuerKeys(issuer=issuer, keys=[ES256, ES256, EDDSA]))

    assert configuration.issuer == issuer
    assert configuration.jwks_uri == keys_address
    assert configuration.id_token_signing_alg_values_supported == [JwtAlgorithm.ES256, JwtAlgorithm.EDDSA]
    assert configuration.subject_types_supported == ["public"]


@pytest.mark.parametrize(
    "issuer",
    [
        *("haoma", "id.example.com", "urn:haoma", "https://", "https:///path", "ftp://id.example.com"),
        *("https://id.example.com?a=b", "https://id.example.com#a", "https://[id.example.com"),
    ],
)
def test_an_issuer_that_is_no_url_has_no_address_to_discover(issuer: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        openid_configuration(IssuerKeys(issuer=issuer, keys=[EDDSA]))

    assert refusal.value.code is ErrorCode.NOT_FOUND
