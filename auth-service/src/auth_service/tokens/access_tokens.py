"""Access tokens: short-lived signed JWTs, which other services can verify with the public keys alone."""

from datetime import datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry

from shared.encoding import to_base64url
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import new_id
from shared.internal_api.auth import PublicKey
from shared.keys import KeyRing

LIFETIME = timedelta(minutes=15)
ALGORITHM = "EdDSA"
CLAIMS = ("iss", "sub", "sid", "iat", "exp", "jti")


class _OneAlgorithm(JWSRegistry):
    """Accepts EdDSA only.

    RFC 9864 renames it to ``Ed25519``, which few verifiers support yet; joserfc warns about the old name.
    """

    def get_alg(self, name: str) -> JWSAlgModel:
        if name != ALGORITHM:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[ALGORITHM]


class AccessTokens:
    """Signs with the current key of the ring, and verifies with any of its keys, by their RFC 7638 thumbprint."""

    def __init__(self, ring: KeyRing, issuer: str) -> None:
        keys = {number: _key(seed) for number, seed in ring.by_id.items()}
        self._current = keys[ring.current]
        self._keys = KeySet(list(keys.values()))
        self._registry = _OneAlgorithm()
        self._issuer = issuer

    def sign(self, user_id: int, session_id: UUID, *, now: datetime) -> str:
        """A token for this session, valid until ``now + LIFETIME``."""
        claims = {
            "iss": self._issuer,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            "jti": new_id().hex,
        }
        header = {"alg": ALGORITHM, "kid": self._current.kid}
        return jwt.encode(header, claims, self._current, registry=self._registry)

    def session_of(self, token: str, *, now: datetime) -> UUID:
        """The session of a token. Raises ``UNAUTHENTICATED`` for every defect, without naming it.

        The session may have ended since: only its row can tell.
        """
        required: dict[str, jwt.ClaimsOption] = {name: {"essential": True} for name in CLAIMS}
        required["iss"]["value"] = self._issuer
        try:
            claims = jwt.decode(token, self._keys, registry=self._registry).claims
            jwt.JWTClaimsRegistry(now=int(now.timestamp()), leeway=0, **required).validate(claims)
            return UUID(claims["sid"])
        except (JoseError, ValueError, TypeError, AttributeError):
            raise ServiceError(ErrorCode.UNAUTHENTICATED) from None

    def public_keys(self) -> list[PublicKey]:
        """The keys for verifying tokens, the current one first."""
        return [
            PublicKey(**key.as_dict(private=False), use="sig", alg=ALGORITHM)
            for key in sorted(self._keys.keys, key=lambda key: key is not self._current)
        ]


def _key(seed: bytes) -> OKPKey:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key().public_bytes_raw()
    key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "d": to_base64url(seed), "x": to_base64url(public)})
    key.ensure_kid()
    return key
