"""Decides about the lines of a batch: who is new, who was imported before, and what is taken."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from auth_service.importing.candidates import Candidate, CandidateReader
from auth_service.importing.lines import Line
from auth_service.importing.refusals import LineRefusedError, Reason
from auth_service.importing.schema import read_user


@dataclass
class Claims:
    """What is taken. ``marks`` has the user ids of those who were imported; None for one who was erased since."""

    marks: dict[bytes, int | None] = field(default_factory=dict)
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

    def merge(self, other: "Claims") -> None:
        """What is taken there is taken here, too."""
        self.marks.update(other.marks)
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
    """The lines of a batch, each in one of three lists."""

    new: list[Candidate] = field(default_factory=list)
    present: list[PresentUser] = field(default_factory=list)
    refused: list[RefusedLine] = field(default_factory=list)


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
        if candidate.mark in claims.marks:
            judgement.present.append(PresentUser(candidate, claims.marks[candidate.mark]))
            continue
        try:
            claims.require_free(candidate)
        except LineRefusedError as error:
            judgement.refused.append(RefusedLine(candidate.line, error))
        else:
            claims.add(candidate)
            judgement.new.append(candidate)
    return judgement
