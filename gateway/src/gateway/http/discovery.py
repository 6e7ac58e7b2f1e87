"""OpenID Connect Discovery 1.0, as far as it is true of Haoma: where verifiers of tokens find the public keys."""

from typing import Literal
from urllib.parse import urlsplit

from aiohttp import web

from gateway.http.operations import ResponseBody
from gateway.http.responses import json_response
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.public_keys import IssuerKeys, JwtAlgorithm, PublicKeys

KEYS_PATH = "/.well-known/jwks.json"
DISCOVERY_PATH = "/.well-known/openid-configuration"
KEYS_MAX_AGE = 300
"""Seconds for which a verifier may cache our public keys. A new key is published that long before it signs."""

KEY_EXAMPLE = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    "use": "sig",
    "alg": "EdDSA",
}
"""The key of RFC 8037, appendix A, with its thumbprint."""


class OpenIdConfiguration(ResponseBody):
    """Haoma issues no ID tokens: the algorithms are those of access tokens."""

    issuer: str
    jwks_uri: str
    id_token_signing_alg_values_supported: list[JwtAlgorithm]
    subject_types_supported: list[Literal["public"]]


def openid_configuration(issuer_keys: IssuerKeys) -> OpenIdConfiguration:
    """The document of an issuer. Raises ``NOT_FOUND`` if the issuer is no URL: then it has no address to discover."""
    issuer = issuer_keys.issuer
    if not _is_address(issuer):
        raise ServiceError(ErrorCode.NOT_FOUND)
    return OpenIdConfiguration(
        issuer=issuer,
        jwks_uri=issuer.rstrip("/") + KEYS_PATH,
        id_token_signing_alg_values_supported=list(dict.fromkeys(key.alg for key in issuer_keys.keys)),
        subject_types_supported=["public"],
    )


def cacheable(body: PublicKeys | OpenIdConfiguration) -> web.Response:
    """A response that verifiers may cache for ``KEYS_MAX_AGE`` seconds."""
    response = json_response(body)
    response.headers["Cache-Control"] = f"public, max-age={KEYS_MAX_AGE}"
    return response


def _is_address(issuer: str) -> bool:
    try:
        parts = urlsplit(issuer)
    except ValueError:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.hostname) and not parts.query and not parts.fragment
