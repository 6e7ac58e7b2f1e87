"""Access tokens: short-lived signed JWTs, which other services can verify with the public keys alone."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key, KeySet
from joserfc.jws import JWSRegistry

from auth_service.sessions.model import TokenSession
from auth_service.tokens.signing_keys import seeded_keys
from auth_service.tokens.token_mac import TokenMacs
from shared.encoding import to_base64url
from shared.events.envelope import new_id
from shared.internal_api.public_keys import IssuerKeys, JwtAlgorithm, PublicKey
from shared.keys import KeyRing

LIFETIME = timedelta(minutes=15)
GENERATION = "gen"
"""The claim with the generation of a token, which tokens of generation 0 do not have."""
CLAIMS = ("iss", "sub", "aud", "sid", "iat", "exp", "jti")


class OurAlgorithms(JWSRegistry):
    """Accepts our algorithms only. joserfc would warn about the name ``EdDSA``, see ``JwtAlgorithm``."""

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in (JwtAlgorithm.EDDSA, JwtAlgorithm.ES256):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


class AccessTokens:
    """Signs with the current key of the ring, and verifies with any of its keys, by ``kid``.

    A token carries a MAC for us and a signature for everyone; one of the two is enough (``TokenMacs``). A key verifies
    its own algorithm only, whatever the header of a token says. The default audience is the issuer.
    """

    def __init__(
        self, ring: KeyRing, issuer: str, audience: str = "", algorithm: JwtAlgorithm = JwtAlgorithm.EDDSA
    ) -> None:
        keys = seeded_keys(ring, algorithm)
        self._keys = KeySet([key for key, _ in keys])
        self._current = self._keys.keys[0]
        self._header = _header(self._current)
        self._registry = OurAlgorithms()
        self._algorithm = self._registry.get_alg(algorithm)
        self._macs = TokenMacs((self._encoded_header(key), seed) for key, seed in keys)
        self._encoded = self._encoded_header(self._current)
        self._issuer = issuer
        self._audience = audience or issuer

    def sign(self, user_id: int, session_id: UUID, *, now: datetime, generation: int = 0) -> str:
        """A token for this session, valid until ``now + LIFETIME``."""
        claims = {
            "iss": self._issuer,
            "sub": str(user_id),
            "aud": self._audience,
            "sid": str(session_id),
            "iat": int(now.timestamp()),
            "exp": int((now + LIFETIME).timestamp()),
            **({GENERATION: generation} if generation else {}),
            "jti": new_id().hex,
        }
        payload = self._macs.complete(self._encoded, orjson.dumps(claims))
        signed = f"{self._encoded}.{to_base64url(payload)}"
        return f"{signed}.{to_base64url(self._algorithm.sign(signed.encode(), self._current))}"

    def session_of(self, token: str, *, now: datetime) -> TokenSession | None:
        """The session of a token. None for every defect, and for a token that is none of ours.

        The session may have ended since, or accept later generations only: only its row can tell.
        """
        claims = self._macs.claims_of(token)
        return self._signed_session(token, now) if claims is None else self._own_session(orjson.loads(claims), now)

    def _own_session(self, claims: dict[str, Any], now: datetime) -> TokenSession | None:
        """The session of claims that ``sign`` wrote, here or in another process, maybe with other settings."""
        is_ours = claims["iss"] == self._issuer and claims["aud"] == self._audience
        if not is_ours or not claims["iat"] <= int(now.timestamp()) < claims["exp"]:
            return None
        return _session_in(claims)

    def _signed_session(self, token: str, now: datetime) -> TokenSession | None:
        """The session of a token without a MAC of ours, as the release before decision 77 wrote them."""
        required: dict[str, jwt.ClaimsOption] = {name: {"essential": True} for name in CLAIMS}
        required["iss"]["value"] = self._issuer
        required["aud"]["value"] = self._audience
        try:
            claims = jwt.decode(token, self._keys, registry=self._registry).claims
            jwt.JWTClaimsRegistry(now=int(now.timestamp()), leeway=0, **required).validate(claims)
            return _session_in(claims)
        except (JoseError, ValueError, TypeError, AttributeError):
            return None

    def _encoded_header(self, key: Key) -> str:
        return jws.serialize_compact(_header(key), b"", key, registry=self._registry).partition(".")[0]

    def public_keys(self) -> IssuerKeys:
        """The keys for verifying tokens, the current one first."""
        keys = [PublicKey.model_validate(key.as_dict(private=False)) for key in self._keys]
        return IssuerKeys(issuer=self._issuer, keys=keys)


def _header(key: Key) -> dict[str, Any]:
    return {"typ": "JWT", "alg": key.get("alg"), "kid": key.kid}


def _session_in(claims: dict[str, Any]) -> TokenSession:
    return TokenSession(UUID(claims["sid"]), int(claims.get(GENERATION, 0)))
