"""Password hashes: argon2id over a peppered digest of the secret, stored with the parameters and the pepper's id.

A digest that another system made is wrapped: argon2id over the peppered digest, with ``|`` and its recipe behind it.
"""

import hmac
import secrets
from base64 import b64encode
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import structlog
from argon2 import Parameters, Type, extract_parameters
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import ARGON2_VERSION, hash_secret, verify_secret

from auth_service.digests.model import ForeignDigest, PlainTextNeededError, PresentedPassword
from auth_service.digests.recipes import WIRE_RECIPE, recipe_of
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.hashing_slots import HashingSlot, share_of
from shared.keys import KeyRing
from shared.networks import RequestSource

RECIPE_MARK = "|"

log = structlog.get_logger()


@dataclass(frozen=True)
class Cost:
    """The cost of one hash. The default is OWASP's recommendation: 19 MiB, two passes, one lane."""

    memory_kib: int = 19_456
    passes: int = 2

    @property
    def parameters(self) -> Parameters:
        """The cost as argon2 parameters, comparable with those of a stored hash."""
        return Parameters(Type.ID, ARGON2_VERSION, 16, 32, self.passes, self.memory_kib, 1)


@dataclass(frozen=True)
class PasswordCheck:
    """Whether the secret matches. ``new_hash`` replaces one that matches and is imported, or old."""

    matches: bool
    new_hash: str | None = field(default=None, repr=False)


class PasswordHasher:
    """Makes and checks password hashes: ``<pepper id>$argon2id$v=19$m=…,t=…,p=1$<salt>$<hash>``."""

    def __init__(self, peppers: KeyRing, pool: HashingPool, cost: Cost | None = None) -> None:
        self._peppers = peppers
        self._pool = pool
        self._parameters = (cost or Cost()).parameters
        self._decoy_hash = self._make_decoy()

    def digest(self, secret: str) -> bytes:
        """A keyed digest of the secret, for comparing two secrets in memory. It is never stored."""
        return self._peppered(secret, self._peppers.current)

    def slot(self, source: RequestSource, phone_ref: int) -> AbstractAsyncContextManager[HashingSlot]:
        """A slot for a block that hashes for a request about this number: networks and accounts share them fairly.

        Raises ``ServiceError(UNAVAILABLE)`` when the queue of the network is full, and after too long a wait.
        """
        return self._pool.slot(share_of(source, phone_ref))

    async def hash(self, slot: HashingSlot, secret: str) -> str:
        """The hash to store. Raises ``ServiceError(UNAVAILABLE)`` when the slot ends first."""
        return await self._pool.run(slot, self._hash, secret)

    async def wrap(self, slot: HashingSlot, digest: ForeignDigest) -> str:
        """The hash to store for a digest that another system made."""
        wrapped = await self._pool.run(slot, self._hash, digest.value)
        recipe = digest.recipe.text
        return wrapped if recipe == WIRE_RECIPE else f"{wrapped}{RECIPE_MARK}{recipe}"

    async def verify(
        self, slot: HashingSlot, password_hash: str | None, secret: str, plain: str | None = None
    ) -> PasswordCheck:
        """Compare the secret with the stored hash. Without a hash the work and the time are the same.

        Some imported hashes can only be compared with the ``plain`` text: without it they match nothing. Raises
        ``ServiceError(UNAVAILABLE)`` when the slot ends first.
        """
        password = PresentedPassword(secret, plain)
        return await self._pool.run(slot, self._verify, password_hash or self._decoy_hash, password)

    def _hash(self, secret: str) -> str:
        pepper_id, parameters = self._peppers.current, self._parameters
        phc = hash_secret(
            self._peppered(secret, pepper_id),
            secrets.token_bytes(parameters.salt_len),
            time_cost=parameters.time_cost,
            memory_cost=parameters.memory_cost,
            parallelism=parameters.parallelism,
            hash_len=parameters.hash_len,
            type=parameters.type,
        )
        return f"{pepper_id}{phc.decode()}"

    def _verify(self, password_hash: str, password: PresentedPassword) -> PasswordCheck:
        own_hash, _, recipe = password_hash.partition(RECIPE_MARK)
        digest = _compute(recipe, password) if recipe else password.secret
        # Where the recipe needs plain text and there is none, the secret takes the place of a digest that is not it.
        matches = self._matches(own_hash, password.secret if digest is None else digest) and digest is not None
        is_current = not recipe and self._is_current(own_hash)
        return PasswordCheck(matches, new_hash=self._hash(password.secret) if matches and not is_current else None)

    def _matches(self, own_hash: str, text: str) -> bool:
        pepper_id, phc = _parts(own_hash)
        if pepper_id not in self._peppers.by_id:
            log.error("pepper.unknown", pepper_id=pepper_id)
            pepper_id, phc = _parts(self._decoy_hash)
        try:
            return verify_secret(phc.encode(), self._peppered(text, pepper_id), Type.ID)
        except VerifyMismatchError:
            return False

    def _is_current(self, own_hash: str) -> bool:
        pepper_id, phc = _parts(own_hash)
        return pepper_id == self._peppers.current and extract_parameters(phc) == self._parameters

    def _peppered(self, secret: str, pepper_id: int) -> bytes:
        return hmac.digest(self._peppers.by_id[pepper_id], secret.encode(), "sha256")

    def _make_decoy(self) -> str:
        """A hash that no secret matches, and that takes the time of a real one to compare."""
        parameters = self._parameters
        salt, digest = (_unpadded(secrets.token_bytes(size)) for size in (parameters.salt_len, parameters.hash_len))
        cost = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
        return f"{self._peppers.current}$argon2id$v={parameters.version}${cost}${salt}${digest}"


def _parts(own_hash: str) -> tuple[int, str]:
    """The pepper's id and argon2's own text."""
    pepper_text, _, rest = own_hash.partition("$")
    return int(pepper_text), f"${rest}"


def _compute(recipe: str, password: PresentedPassword) -> str | None:
    """What the recipe makes of the password; None if it needs the plain text, and there is none."""
    try:
        return recipe_of(recipe).compute(password)
    except PlainTextNeededError:
        return None


def _unpadded(raw: bytes) -> str:
    return b64encode(raw).rstrip(b"=").decode()
