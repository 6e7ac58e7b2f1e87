"""Our own hashes outside of the database: as an export spells them, and as an import reads them back.

A hash opens nothing without its pepper, so its format names the pepper by a mark: ``haoma:<mark>``. An import into a
system with other peppers refuses the hash, instead of keeping users out whose passwords it cannot compare.
"""

import hmac
import re
from base64 import b64encode
from dataclasses import dataclass, field

from auth_service.digests.costs import MALFORMED, TOO_COSTLY
from auth_service.digests.model import DigestRefusedError, Recipe
from auth_service.digests.slow_formats import read_argon2
from auth_service.digests.spelling import SpelledDigest, base64_bytes
from auth_service.digests.stored_recipes import read_recipe
from auth_service.passwords.hasher import RECIPE_MARK, Cost
from shared.keys import KeyRing

NAME = "haoma"
UNKNOWN_PEPPER = "password_pepper_unknown"
MARK_PURPOSE = b"which pepper an exported hash has"
MARK_BYTES = 8
_HASH = re.compile(
    r"(?P<pepper>[1-9][0-9]{0,2})(?P<phc>\$argon2id\$v=19\$m=(?P<memory>[1-9][0-9]{0,8}),t=(?P<passes>[1-9][0-9]?),p=1"
    r"\$(?P<salt>[A-Za-z0-9+/]+)\$(?P<digest>[A-Za-z0-9+/]+))"
)


@dataclass(frozen=True, slots=True)
class StoredHash:
    """A hash as the database has it. ``recipe`` is that of a digest of another system that the hash wraps."""

    text: str = field(repr=False)
    recipe: Recipe | None


class OwnFormat:
    """Spells and reads our hashes, with the marks of the peppers that this system has."""

    def __init__(self, peppers: KeyRing, cost: Cost | None = None) -> None:
        self._cost = cost or Cost()
        self._marks = {pepper_id: _mark(pepper) for pepper_id, pepper in peppers.by_id.items()}

    def name_for(self, password_hash: str) -> str | None:
        """The format of a stored hash; None if its pepper is lost, so that no one can compare it."""
        mark = self._marks.get(int(password_hash.partition("$")[0]))
        return None if mark is None else f"{NAME}:{mark}"

    def read(self, format_name: str, text: str) -> StoredHash:
        """The hash of a file, to be stored as it is. Raises ``DigestRefusedError``.

        It may cost no more to compare than a hash of this system, or the time of a refusal would tell whose it is.
        """
        own_hash, mark, recipe = text.partition(RECIPE_MARK)
        match = _HASH.fullmatch(own_hash)
        if match is None:
            raise DigestRefusedError(MALFORMED)
        read_argon2(SpelledDigest("argon2", match["phc"]))
        if not (_is_canonical(match["salt"]) and _is_canonical(match["digest"])):
            raise DigestRefusedError(MALFORMED)
        if int(match["memory"]) > self._cost.memory_kib or int(match["passes"]) > self._cost.passes:
            raise DigestRefusedError(TOO_COSTLY)
        mark_of_pepper = self._marks.get(int(match["pepper"]))
        if mark_of_pepper is None or format_name != f"{NAME}:{mark_of_pepper}":
            raise DigestRefusedError(UNKNOWN_PEPPER)
        return StoredHash(text, read_recipe(recipe) if mark else None)


def is_own(format_name: str) -> bool:
    """Whether a format is the one of our hashes."""
    return format_name.partition(":")[0] == NAME


def _mark(pepper: bytes) -> str:
    return hmac.digest(pepper, MARK_PURPOSE, "sha256")[:MARK_BYTES].hex()


def _is_canonical(text: str) -> bool:
    """Whether argon2, which is strict about the bits that do not count, reads it."""
    return b64encode(base64_bytes(text)).rstrip(b"=").decode() == text
