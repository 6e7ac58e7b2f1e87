"""Passwords: argon2id over a keyed digest of the secret, in a verifier that names its parameters and its pepper."""

import hmac
import secrets
from base64 import b64encode
from dataclasses import dataclass, field

import structlog
from argon2 import Parameters, Type, extract_parameters
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import ARGON2_VERSION, hash_secret, verify_secret

from auth_service.passwords.hashing_pool import HashingPool
from shared.keys import KeyRing

log = structlog.get_logger()


@dataclass(frozen=True)
class Cost:
    """What one hash costs. The default is OWASP's: 19 MiB, two passes, one lane."""

    memory_kib: int = 19_456
    passes: int = 2

    @property
    def parameters(self) -> Parameters:
        """In argon2's own words, to compare with what a verifier says."""
        return Parameters(Type.ID, ARGON2_VERSION, 16, 32, self.passes, self.memory_kib, 1)


@dataclass(frozen=True)
class PasswordCheck:
    """Whether the secret was right; ``new_hash`` is a new verifier when the old one is no longer up to date."""

    matches: bool
    new_hash: str | None = field(default=None, repr=False)


class PasswordHasher:
    """Makes and checks verifiers: ``<pepper id>$argon2id$v=19$m=…,t=…,p=1$<salt>$<hash>``."""

    def __init__(self, peppers: KeyRing, pool: HashingPool, cost: Cost | None = None) -> None:
        self._peppers = peppers
        self._pool = pool
        self._parameters = (cost or Cost()).parameters
        self._decoy = self._make_decoy()

    def proof(self, secret: str) -> bytes:
        """A keyed digest of the secret, to compare two secrets with in memory. It is never stored."""
        return self._pepper(secret, self._peppers.current)

    async def hash(self, secret: str) -> str:
        """A verifier for the secret. Raises ``ServiceError(UNAVAILABLE)`` when too many hashes wait."""
        return await self._pool.run(self._hash, secret)

    async def verify(self, password_hash: str | None, secret: str) -> PasswordCheck:
        """Check the secret. Without a verifier the work and its time are the same, and the answer is no.

        Raises ``ServiceError(UNAVAILABLE)`` when too many hashes wait.
        """
        return await self._pool.run(self._verify, password_hash or self._decoy, secret)

    def _hash(self, secret: str) -> str:
        current = self._peppers.current
        wanted = self._parameters
        phc = hash_secret(
            self._pepper(secret, current),
            secrets.token_bytes(wanted.salt_len),
            time_cost=wanted.time_cost,
            memory_cost=wanted.memory_cost,
            parallelism=wanted.parallelism,
            hash_len=wanted.hash_len,
            type=wanted.type,
        )
        return f"{current}{phc.decode()}"

    def _verify(self, password_hash: str, secret: str) -> PasswordCheck:
        number, _, rest = password_hash.partition("$")
        pepper, phc = int(number), f"${rest}"
        if pepper not in self._peppers.by_id:
            log.error("pepper.unknown", pepper_id=pepper)
            pepper, phc = self._peppers.current, self._decoy[len(str(self._peppers.current)) :]
        try:
            verify_secret(phc.encode(), self._pepper(secret, pepper), Type.ID)
        except VerifyMismatchError:
            return PasswordCheck(matches=False)
        up_to_date = pepper == self._peppers.current and extract_parameters(phc) == self._parameters
        return PasswordCheck(matches=True, new_hash=None if up_to_date else self._hash(secret))

    def _pepper(self, secret: str, number: int) -> bytes:
        return hmac.digest(self._peppers.by_id[number], secret.encode(), "sha256")

    def _make_decoy(self) -> str:
        """A verifier that no secret fits, which costs what a real one costs."""
        wanted = self._parameters
        salt, digest = (_unpadded(secrets.token_bytes(size)) for size in (wanted.salt_len, wanted.hash_len))
        cost = f"m={wanted.memory_cost},t={wanted.time_cost},p={wanted.parallelism}"
        return f"{self._peppers.current}$argon2id$v={wanted.version}${cost}${salt}${digest}"


def _unpadded(raw: bytes) -> str:
    return b64encode(raw).rstrip(b"=").decode()
