"""The arrival of one user from the user source: their line is read and imported as a line of a file is."""

import asyncio
from collections.abc import Callable

import structlog

from auth_service.importing.candidates import Candidate, CandidateReader, Countries
from auth_service.importing.importer import CandidateImport
from auth_service.importing.refusals import LineRefusedError, Reason
from auth_service.importing.schema import read_user
from shared.phone import E164, split

LINE = 1
"""An answer is a file of one line."""

log = structlog.get_logger()


class Arrival:
    """Imports the user of a number. ``reader_for`` makes a reader for the countries of that number alone."""

    def __init__(
        self, candidates: CandidateImport, reader_for: Callable[[Countries], CandidateReader], wake: Callable[[], None]
    ) -> None:
        self._candidates = candidates
        self._reader_for = reader_for
        self._wake = wake

    async def add(self, phone: E164, line: bytes) -> bool:
        """Whether the user is new here. Someone who came before is not, even if they changed their number since.

        Raises ``LineRefusedError``, also for a user of another number, and ``ServiceError(UNAVAILABLE)``.
        """
        # In a thread, because a slow digest is measured the first time, and numbers abroad load a library.
        candidate = await asyncio.to_thread(self._read, phone, line)
        judgement = await self._candidates.add([candidate])
        for refused in judgement.refused:
            raise refused.error
        for new in judgement.new:
            self._wake()
            log.info("user_source.user_moved", user_id=new.user_id)
        return bool(judgement.new)

    def _read(self, phone: E164, line: bytes) -> Candidate:
        code, _ = split(phone)
        candidate = self._reader_for(Countries(code, (code,))).read(LINE, read_user(line))
        if candidate.phone != phone:
            raise LineRefusedError(Reason.FIELD_INVALID, "phone")
        return candidate
