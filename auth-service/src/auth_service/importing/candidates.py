"""A user of the file who can be imported: number, name, digest and times are as Haoma has them."""

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from auth_service.accounts.user_ids import new_user_id
from auth_service.accounts.usernames import name_key
from auth_service.digests.formats import read_digest
from auth_service.digests.model import DigestRefusedError, ForeignDigest, Recipe
from auth_service.imported_sessions.model import ImportedSession, UserSessions
from auth_service.imported_sessions.token_strength import is_guessable
from auth_service.importing.refusals import LineRefusedError, Reason
from auth_service.importing.schema import ImportedUser, Password, Session
from auth_service.passwords.own_format import OwnFormat, StoredHash, is_own
from auth_service.sessions.token_digests import TokenDigests, imported_sha256
from shared.errors import ServiceError
from shared.phone import E164, PhoneKeys, parse

DigestT = TypeVar("DigestT", ForeignDigest, StoredHash)

CLOCK_TOLERANCE = timedelta(days=1)
"""How far ahead the clock of the other system may be. A time within it counts as now."""


class LegacyMarks:
    """A mark says that a user was imported, and outlives an erasure: it cannot be read back without the key."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"legacy id", "sha256")

    def of(self, legacy_id: int | str) -> bytes:
        """The mark of an id: 16 bytes. The number 7 and the text "7" are the same id."""
        return hmac.digest(self._key, str(legacy_id).encode(), "sha256")[:16]


class RefusalTime(Protocol):
    """Whether refusals are held long enough for a digest."""

    def require(self, recipe: Recipe) -> None:
        """Raises ``LineRefusedError`` if a wrong password of such a digest would be refused later than others."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A user of the line ``line``. ``user_id`` is the legacy id if that is a number, and a new one otherwise.

    A user has a ``digest`` of another system, or the ``stored_hash`` of another Haoma, or no password.
    """

    line: int
    user: ImportedUser = field(repr=False)
    mark: bytes
    user_id: int
    phone: E164 = field(repr=False)
    phone_ref: int
    name_key: str | None
    digest: ForeignDigest | None
    stored_hash: StoredHash | None
    created_at: datetime
    last_seen_at: datetime
    banned_at: datetime | None
    sessions: UserSessions

    @property
    def recipe(self) -> Recipe | None:
        """How the digest of another system is computed from the password, if there is one."""
        return self.digest.recipe if self.digest else self.stored_hash.recipe if self.stored_hash else None


@dataclass(frozen=True)
class Countries:
    """The calling code of numbers without one, and the countries whose numbers are imported."""

    calling_code: str
    served: Collection[str]


class CandidateReader:
    """Makes candidates of users."""

    def __init__(
        self,
        *,
        phones: PhoneKeys,
        marks: LegacyMarks,
        countries: Countries,
        refusal_time: RefusalTime,
        own_format: OwnFormat,
        digests: TokenDigests,
        now: Callable[[], datetime],
    ) -> None:
        self._phones = phones
        self._marks = marks
        self._countries = countries
        self._refusal_time = refusal_time
        self._own_format = own_format
        self._digests = digests
        self._now = now

    def read(self, line: int, user: ImportedUser) -> Candidate:
        """The candidate. Raises ``LineRefusedError``."""
        now, phone = self._now(), self._phone(user)
        digest, stored_hash = self._password(user.password)
        is_banned = user.banned if user.banned_until is None else user.banned_until > now
        return Candidate(
            line=line,
            user=user,
            mark=self._marks.of(user.id),
            user_id=user.id if isinstance(user.id, int) else new_user_id(),
            phone=phone,
            phone_ref=self._phones.ref(phone),
            name_key=None if user.name is None else name_key(user.name),
            digest=digest,
            stored_hash=stored_hash,
            created_at=_past(user.created_at, now, "created_at"),
            last_seen_at=_past(user.last_seen_at, now, "last_seen_at"),
            banned_at=now if is_banned else None,
            sessions=UserSessions.of([self._session(each, now) for each in user.sessions], now),
        )

    def _phone(self, user: ImportedUser) -> E164:
        countries = self._countries
        try:
            return parse(str(user.phone), calling_code=countries.calling_code, served=countries.served)
        except ServiceError:
            raise LineRefusedError(Reason.NUMBER_REFUSED) from None

    def _password(self, password: Password | None) -> tuple[ForeignDigest | None, StoredHash | None]:
        if password is None:
            return None, None
        try:
            if is_own(password.format):
                return None, self._with_hold(self._own_format.read(password.format, password.digest))
            return self._with_hold(read_digest(password.spelled())), None
        except DigestRefusedError as error:
            raise LineRefusedError(Reason(error.reason)) from None

    def _with_hold(self, digest: DigestT) -> DigestT:
        if digest.recipe is not None:
            self._refusal_time.require(digest.recipe)
        return digest

    def _session(self, session: Session, now: datetime) -> ImportedSession:
        if session.token is not None and is_guessable(session.token):
            raise LineRefusedError(Reason.TOKEN_GUESSABLE)
        sha256 = bytes.fromhex(session.token_sha256 or "") if session.token is None else imported_sha256(session.token)
        return ImportedSession(
            token_hash=self._digests.imported(sha256),
            token_sha256=sha256,
            kind=session.kind,
            client=session.client,
            opened_at=_past(session.created_at, now, "sessions.created_at"),
            ends_at=session.expires_at,
        )


def _past(moment: datetime | None, now: datetime, name: str) -> datetime:
    if moment is not None and moment > now + CLOCK_TOLERANCE:
        raise LineRefusedError(Reason.FIELD_INVALID, name)
    return now if moment is None else min(moment, now)
