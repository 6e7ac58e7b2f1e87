"""Decides about the lines of a batch: who is new, who was imported before, and what is taken."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from auth_service.imported_sessions.model import ImportedSession, SessionOutcome
from auth_service.importing.candidates import Candidate, CandidateReader
from auth_service.importing.lines import Line
from auth_service.importing.refusals import LineRefusedError, Reason
from auth_service.importing.schema import read_user


@dataclass
class Claims:
    """What is taken. ``marks`` has the user ids of those who were imported; None for one who was erased since.

    ``closed`` are users who get no more sessions, because they were banned or have ended all of theirs here. ``tokens``
    has the user of each token, by the digest of an imported one and by the SHA-256 of one of ours.
    """

    marks: dict[bytes, int | None] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    tokens: dict[bytes, int] = field(default_factory=dict)
    phones: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    user_ids: set[int] = field(default_factory=set)

    def require_free(self, candidate: Candidate) -> None:
        """Raises ``LineRefusedError`` if the candidate needs what another user has."""
        if candidate.phone_ref in self.phones:
            raise LineRefusedError(Reason.NUMBER_TAKEN)
        if candidate.name_key in self.names:
            raise LineRefusedError(Reason.NAME_TAKEN)
        if candidate.user_id in self.user_ids:
            raise LineRefusedError(Reason.ID_TAKEN)
        self.require_own_tokens(candidate, candidate.user_id)

    def require_own_tokens(self, candidate: Candidate, user_id: int) -> None:
        """Raises ``LineRefusedError`` if another user has a token of the candidate's."""
        for session in candidate.sessions.live:
            owners = {self.tokens.get(session.token_hash, user_id), self.tokens.get(session.token_sha256, user_id)}
            if owners != {user_id}:
                raise LineRefusedError(Reason.TOKEN_TAKEN)

    def merge(self, other: "Claims") -> None:
        """What is taken there is taken here, too."""
        self.marks.update(other.marks)
        self.closed |= other.closed
        self.tokens.update(other.tokens)
        self.phones |= other.phones
        self.names |= other.names
        self.user_ids |= other.user_ids

    def add(self, candidate: Candidate) -> None:
        """The candidate has its id, number and name from now on."""
        self.marks[candidate.mark] = candidate.user_id
        self.phones.add(candidate.phone_ref)
        self.user_ids.add(candidate.user_id)
        if candidate.name_key is not None:
            self.names.add(candidate.name_key)
        if candidate.banned_at is not None:
            self.closed.add(candidate.user_id)

    def new_sessions(self, candidate: Candidate, user_id: int) -> "SessionsOfUser":
        """Which sessions of the candidate are to be added. They are claimed from now on."""
        sessions = candidate.sessions
        unknown = [
            each for each in sessions.live if self.tokens.keys().isdisjoint((each.token_hash, each.token_sha256))
        ]
        is_closed = user_id in self.closed
        new = () if is_closed else tuple(unknown)
        self.tokens.update((session.token_hash, user_id) for session in new)
        counts = {
            SessionOutcome.NEW: len(new),
            SessionOutcome.PRESENT: len(sessions.live) - len(unknown),
            SessionOutcome.CLOSED: len(unknown) - len(new),
            SessionOutcome.EXPIRED: sessions.expired,
            SessionOutcome.CROWDED_OUT: sessions.crowded_out,
        }
        return SessionsOfUser(user_id, new, counts)


@dataclass(frozen=True, slots=True)
class SessionsOfUser:
    """What becomes of the sessions of a user: those to add, and how many there are of each outcome."""

    user_id: int
    new: tuple[ImportedSession, ...]
    counts: Mapping[SessionOutcome, int]


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that is not imported, and why."""

    line: int
    error: LineRefusedError


@dataclass(frozen=True, slots=True)
class PresentUser:
    """A candidate who was imported before. ``user_id`` is None if they were erased since."""

    candidate: Candidate
    user_id: int | None


@dataclass
class Judgement:
    """The lines of a batch, each in one of three lists, and the sessions of those that are not refused."""

    new: list[Candidate] = field(default_factory=list)
    present: list[PresentUser] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)
    sessions: list[SessionsOfUser] = field(default_factory=list)

    @property
    def new_sessions(self) -> list[tuple[int, ImportedSession]]:
        """The sessions to add, each with the id of its user."""
        return [(each.user_id, session) for each in self.sessions for session in each.new]


def read_candidates(reader: CandidateReader, lines: Iterable[Line]) -> tuple[list[Candidate], list[RefusedLine]]:
    """The candidates of some lines, and the lines that have none."""
    candidates, refused = [], []
    for line in lines:
        try:
            candidates.append(reader.read(line.number, read_user(line.content)))
        except LineRefusedError as error:
            refused.append(RefusedLine(line.number, error))
    return candidates, refused


def judge(candidates: Sequence[Candidate], claims: Claims) -> Judgement:
    """Who is new, in the order of the lines: the first of several claims is good. Adds their claims to ``claims``."""
    judgement = Judgement()
    for candidate in candidates:
        try:
            _judge_one(candidate, claims, judgement)
        except LineRefusedError as error:
            judgement.refused.append(RefusedLine(candidate.line, error))
    return judgement


def _judge_one(candidate: Candidate, claims: Claims, judgement: Judgement) -> None:
    """Decide about one candidate. Raises ``LineRefusedError``."""
    if candidate.mark not in claims.marks:
        claims.require_free(candidate)
        claims.add(candidate)
        judgement.new.append(candidate)
        judgement.sessions.append(claims.new_sessions(candidate, candidate.user_id))
        return
    user_id = claims.marks[candidate.mark]
    if user_id is not None:
        claims.require_own_tokens(candidate, user_id)
        judgement.sessions.append(claims.new_sessions(candidate, user_id))
    judgement.present.append(PresentUser(candidate, user_id))
