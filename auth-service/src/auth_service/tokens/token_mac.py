"""The MAC inside an access token: our own proof of its claims, which costs a hundredth of the signature's.

A token is a JWT for everyone else. Its last claim, ``jti``, is ``<random>.<mac>``, and the MAC is over the header and
all that stands before it. Only auth-service has the keys. Decision 77 has the reasons.
"""

import hmac
import re
from collections.abc import Iterable

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.encoding import from_base64url, to_base64url

INFO = b"haoma access tokens MAC"
MAC_BYTES = 16
_TAIL = re.compile(rb"(?P<covered>\{.+\.)(?P<mac>[A-Za-z0-9_-]{22})\"\}", re.DOTALL)
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{86}")
"""64 bytes, as both algorithms sign."""


class TokenMacs:
    """Writes MACs into the claims of tokens, and finds the claims of tokens whose MAC is right.

    Each header names the key that signs the token, and so the seed of the MAC: a key of its own, derived by HKDF.
    """

    def __init__(self, seeds: Iterable[tuple[str, bytes]]) -> None:
        """``seeds`` are those of the ring, by the encoded headers that name their keys."""
        self._keys = {header: HKDF(SHA256(), 32, salt=None, info=INFO).derive(seed) for header, seed in seeds}

    def complete(self, header: str, claims: bytes) -> bytes:
        """JSON claims, of which ``jti`` is the last, with the MAC at the end of it."""
        covered = claims[: -len(b'"}')] + b"."
        return covered + self._mac(self._keys[header], header, covered) + b'"}'

    def claims_of(self, token: str) -> bytes | None:
        """The claims as JSON if the MAC is right, and None if only the signature can tell.

        The signature has to have its form, but is not verified: the MAC covers all that it covers.
        """
        header, _, rest = token.partition(".")
        body, _, signature = rest.partition(".")
        key = self._keys.get(header)
        if key is None or not _SIGNATURE.fullmatch(signature):
            return None
        try:
            claims = from_base64url(body)
        except ValueError:
            return None
        tail = _TAIL.fullmatch(claims)
        if tail is None or not hmac.compare_digest(self._mac(key, header, tail["covered"]), tail["mac"]):
            return None
        return claims

    def _mac(self, key: bytes, header: str, covered: bytes) -> bytes:
        mac = hmac.digest(key, b"%b.%b" % (header.encode(), covered), "sha256")
        return to_base64url(mac[:MAC_BYTES]).encode()
