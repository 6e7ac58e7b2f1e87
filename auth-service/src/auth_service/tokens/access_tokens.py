"""Access tokens: short-lived signed JWTs, which other services can verify with the public keys alone."""

from datetime import datetime, timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from auth_service.tokens.signing_keys import signing_keys
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import new_id
from shared.internal_api.public_keys import IssuerKeys, JwtAlgorithm, PublicKey
from shared.keys import KeyRing

LIFETIME = timedelta(minutes=15)
CLAIMS = ("iss", "sub", "aud", "sid", "iat", "exp", "jti")


class OurAlgorithms(JWSRegistry):
    """Accepts our algorithms only. joserfc would warn about the name ``EdDSA``, see ``JwtAlgorithm``."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in (JwtAlgorithm.EDDSA, JwtAlgorithm.ES256):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


class AccessTokens:
    """Signs with the current key of the ring, and verifies with any of its keys, by ``kid``.

    A key verifies its own algorithm only, whatever the header of a token says. The default audience is the issuer.
    """

    def __init__(
        self, ring: KeyRing, issuer: str, audience: str = "", algorithm: JwtAlgorithm = JwtAlgorithm.EDDSA
    ) -> None:
        self._keys = KeySet(signing_keys(ring, algorithm))
        self._current = self._keys.keys[0]
        self._header = {"alg": algorithm.value, "kid": self._current.kid}
        self._registry = OurAlgorithms()
        self._issuer = issuer
        self._audience = audience or issuer

    def sign(self, user_id: int, session_id: UUID, *, now: datetime) -> str:
        """A token for this session, valid until ``now + LIFETIME``."""
        claims = {
            "iss": self._issuer,
            "sub": str(user_id),
            "aud": self._audience,
            "sid": str(session_id),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            "jti": new_id().hex,
        }
        return jwt.encode(self._header, claims, self._current, registry=self._registry)

    def session_of(self, token: str, *, now: datetime) -> UUID:
        """The session of a token. Raises ``UNAUTHENTICATED`` for every defect, without naming it.

        The session may have ended since: only its row can tell.
        """
        required: dict[str, jwt.ClaimsOption] = {name: {"essential": True} for name in CLAIMS}
        required["iss"]["value"] = self._issuer
        required["aud"]["value"] = self._audience
        try:
            claims = jwt.decode(token, self._keys, registry=self._registry).claims
            jwt.JWTClaimsRegistry(now=int(now.timestamp()), leeway=0, **required).validate(claims)
            return UUID(claims["sid"])
        except (JoseError, ValueError, TypeError, AttributeError):
            raise ServiceError(ErrorCode.UNAUTHENTICATED) from None

    def public_keys(self) -> IssuerKeys:
        """The keys for verifying tokens, the current one first."""
        keys = [PublicKey.model_validate(key.as_dict(private=False)) for key in self._keys]
        return IssuerKeys(issuer=self._issuer, keys=keys)
