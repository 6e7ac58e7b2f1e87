"""Passwords that the operator knows, to try a format before a whole file of it is imported."""

import hmac
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from auth_service.digests.model import ForeignDigest, PresentedPassword
from auth_service.importing.candidates import Candidate
from auth_service.importing.schema import LegacyId

MatchesHash = Callable[[str, PresentedPassword], Awaitable[bool]]
"""Whether one of our own hashes is that of a password."""


class KnownPassword(BaseModel):
    """The password of a user of the other system, in plain text."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: LegacyId
    password: str = Field(repr=False)


@dataclass
class KnownPasswords:
    """The passwords by the id of their user, and what came of trying them."""

    passwords: dict[str, str] = field(default_factory=dict, repr=False)
    is_given: bool = False
    matched: int = 0
    failed: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, lines: Iterable[bytes]) -> "KnownPasswords":
        """From lines of JSON. Raises ``ValueError`` with the number of a line that is none."""
        passwords = {}
        for number, line in enumerate(lines, start=1):
            try:
                known = KnownPassword.model_validate_json(line)
            except ValidationError:
                raise ValueError(f"line {number} is not an object with id and password") from None
            passwords[str(known.id)] = known.password
        return cls(passwords, is_given=True)

    async def attempt(self, candidate: Candidate, matches_hash: MatchesHash) -> None:
        """Compare the digest of a user whose password is known. ``failed`` has the lines of those that do not match."""
        text = self.passwords.pop(str(candidate.user.id), None)
        if text is None:
            return
        password = PresentedPassword.from_plain(text)
        if candidate.stored_hash is not None:
            matches = await matches_hash(candidate.stored_hash.text, password)
        else:
            matches = candidate.digest is not None and _matches(candidate.digest, password)
        if matches:
            self.matched += 1
        else:
            self.failed.append(candidate.line)

    def texts(self) -> list[str]:
        """The result, a line each."""
        found = [f"known passwords: {self.matched} match, {len(self.failed)} do not"]
        found += [f"  the password of line {line} does not match: is its format right?" for line in self.failed]
        return [*found, *([f"  {len(self.passwords)} users are not in the file"] if self.passwords else [])]


def _matches(digest: ForeignDigest, password: PresentedPassword) -> bool:
    return hmac.compare_digest(digest.recipe.compute(password), digest.value)
