"""The import: batch by batch, each in one transaction, so that a run that was stopped goes on where it was."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from auth_service.digests.model import ForeignDigest
from auth_service.imported_sessions.model import ImportedSession
from auth_service.importing.candidates import Candidate, CandidateReader
from auth_service.importing.judgement import Claims, Judgement, RefusedLine, judge, read_candidates
from auth_service.importing.known_passwords import KnownPasswords, MatchesHash
from auth_service.importing.lines import LineBatch
from auth_service.importing.report import Output, Report
from shared.errors import unavailable

MAX_ATTEMPTS = 5
"""How often the claims of a batch are read again because a registration took something meanwhile."""


class ClaimsChangedError(Exception):
    """A registration or another import took something of the batch since its claims were read: nothing was written."""


@dataclass(frozen=True, slots=True)
class NewUser:
    """A candidate with the hash to store; None for a user who logs in with codes only."""

    candidate: Candidate
    password_hash: str | None = field(repr=False)


class ClaimsRepository(Protocol):
    """The accounts, for a dry run."""

    async def claims(self, candidates: Sequence[Candidate]) -> Claims:
        """What of the candidates' ids, numbers and names is taken."""


class ImportRepository(ClaimsRepository, Protocol):
    """Where users are imported."""

    async def add(self, users: Sequence[NewUser], sessions: Sequence[tuple[int, ImportedSession]]) -> None:
        """Write all of them with their audit entries and events, or nothing. Raises ``ClaimsChangedError``.

        ``sessions`` are of these users or of those who were imported before, each with the id of its user.
        """


WrapAll = Callable[[Sequence[ForeignDigest]], Awaitable[Sequence[str]]]
"""The hashes of some digests, made in all threads."""


class CandidateImport:
    """The rules. A user is imported once, and so is each of their sessions."""

    def __init__(self, repository: ImportRepository, wrap_all: WrapAll) -> None:
        self._repository = repository
        self._wrap_all = wrap_all

    async def add(self, candidates: Sequence[Candidate]) -> Judgement:
        """Import the new ones among them, each with a line of its own, and tell who is new.

        Raises ``ServiceError(UNAVAILABLE)``: then it may be called again.
        """
        hashes: dict[int, str] = {}
        for _ in range(MAX_ATTEMPTS):
            judgement = judge(candidates, await self._repository.claims(candidates))
            await self._hash(judgement.new, hashes)
            try:
                new_users = [NewUser(each, _hash_of(each, hashes)) for each in judgement.new]
                await self._repository.add(new_users, judgement.new_sessions)
            except ClaimsChangedError:
                continue
            return judgement
        raise unavailable()

    async def _hash(self, candidates: Sequence[Candidate], hashes: dict[int, str]) -> None:
        """Add the hashes of those who have a digest and no hash yet."""
        waiting = [(each.line, each.digest) for each in candidates if each.digest and each.line not in hashes]
        hashed = await self._wrap_all([digest for _, digest in waiting])
        hashes.update(zip((line for line, _ in waiting), hashed, strict=True))


def _hash_of(candidate: Candidate, hashes: Mapping[int, str]) -> str | None:
    """The hash to store: one of ours as it is, or the new one that wraps a digest."""
    return candidate.stored_hash.text if candidate.stored_hash else hashes.get(candidate.line)


class Importer:
    """Imports a file, batch by batch. A repeated line changes nothing."""

    def __init__(
        self, repository: ImportRepository, reader: CandidateReader, wrap_all: WrapAll, report: Report, output: Output
    ) -> None:
        self._candidates = CandidateImport(repository, wrap_all)
        self._reader = reader
        self._report = report
        self._output = output

    async def run(self, batch: LineBatch) -> None:
        """Import the users of a batch. Raises ``ServiceError(UNAVAILABLE)``: then it may be run again."""
        candidates, refused = read_candidates(self._reader, batch.lines)
        judgement = await self._candidates.add(candidates)
        record(judgement, refused, self._report, self._output)


class DryRun:
    """Judges the whole file as an import would, and writes nothing."""

    def __init__(
        self,
        repository: ClaimsRepository,
        reader: CandidateReader,
        known_passwords: KnownPasswords,
        report: Report,
        output: Output,
        *,
        matches_hash: MatchesHash,
    ) -> None:
        self._repository = repository
        self._reader = reader
        self._known_passwords = known_passwords
        self._matches_hash = matches_hash
        self._report = report
        self._output = output
        self._claims = Claims()

    async def run(self, batch: LineBatch) -> None:
        """Judge a batch, and try the known passwords of its users. Raises ``ServiceError(UNAVAILABLE)``."""
        candidates, refused = read_candidates(self._reader, batch.lines)
        self._claims.merge(await self._repository.claims(candidates))
        judgement = judge(candidates, self._claims)
        for candidate in judgement.new:
            await self._known_passwords.attempt(candidate, self._matches_hash)
        record(judgement, refused, self._report, self._output)


def record(judgement: Judgement, refused: Sequence[RefusedLine], report: Report, output: Output) -> None:
    """Count the lines of a batch, and name those that are refused, in their order."""
    for candidate in judgement.new:
        report.count_import(candidate)
        output.mapped(candidate.user.id, candidate.user_id)
    for present in judgement.present:
        if present.user_id is None:
            report.erased += 1
        else:
            report.present += 1
            output.mapped(present.candidate.user.id, present.user_id)
    for sessions in judgement.sessions:
        report.count_sessions(sessions)
    for line in sorted((*refused, *judgement.refused), key=lambda each: each.line):
        report.refused[line.error.reason] += 1
        output.refused(line.line, line.error)
