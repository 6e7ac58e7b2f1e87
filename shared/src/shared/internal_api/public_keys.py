"""The internal API of auth-service, continued: the public keys that verify access tokens."""

from enum import StrEnum

from pydantic import Field

from shared.internal_api.endpoint import Empty, Endpoint, WireModel


class JwtAlgorithm(StrEnum):
    """An algorithm that signs access tokens.

    RFC 9864 renames ``EdDSA`` to ``Ed25519``, which few verifiers support yet.
    """

    EDDSA = "EdDSA"
    ES256 = "ES256"


class PublicKey(WireModel):
    """A key for verifying access tokens (RFC 7517, RFC 7518, RFC 8037). Only the key of a P-256 curve has ``y``."""

    kty: str
    crv: str
    x: str
    y: str | None = Field(default=None, exclude_if=lambda y: y is None)
    kid: str
    use: str
    alg: JwtAlgorithm


class PublicKeys(WireModel):
    keys: list[PublicKey]


class IssuerKeys(PublicKeys):
    """The keys for verifying access tokens, the one that signs first, and the issuer that the tokens name."""

    issuer: str


READ_KEYS = Endpoint("/v1/keys/read", Empty, IssuerKeys, repeatable=True)
