"""Asks the user source for a number or a name that is not here, once, and imports the user whom it has.

Trouble is never "no such user": then the number of a user who has not moved yet could be registered by someone else.
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

import structlog

from auth_service.importing.refusals import LineRefusedError
from auth_service.user_source.absence_marks import AbsenceMarks
from auth_service.user_source.arrival import Arrival
from auth_service.user_source.model import Field
from auth_service.user_source.single_flight import SingleFlight
from auth_service.user_source.source_metrics import REQUESTS
from shared.errors import unavailable
from shared.phone import E164, PhoneKeys, ref_hex

MAX_JOBS = 32
"""How many numbers and names are asked for at once."""
RETRY_AFTER = 60
"""Seconds until a user whose line was refused may come again: an operator has to correct the line."""

log = structlog.get_logger()


class AbsenceRepository(Protocol):
    """Who is here, and who is known to be absent there."""

    async def find(self, phone: E164 | None, mark: bytes) -> tuple[bool, bool]:
        """Whether the number has an account, and whether the source does not have what the mark stands for."""

    async def remember(self, mark: bytes) -> None:
        """The source does not have what the mark stands for."""


class Source(Protocol):
    async def fetch(self, field: Field, value: str) -> bytes | None:
        """The line of the user who has this number or name; None for none. Raises ``ServiceError(UNAVAILABLE)``."""


class UserSource:
    """The back end that an app had before. With ``looks_up_all`` the gateway looks up known numbers there as well."""

    def __init__(
        self,
        source: Source,
        absences: AbsenceRepository,
        arrival: Arrival,
        marks: AbsenceMarks,
        phones: PhoneKeys,
        *,
        looks_up_all: bool = False,
    ) -> None:
        self._source = source
        self._absences = absences
        self._arrival = arrival
        self._marks = marks
        self._phones = phones
        self._looks_up_all = looks_up_all
        self._flights: SingleFlight[bool] = SingleFlight(MAX_JOBS)

    def elsewhere(self, registered: Sequence[bool]) -> list[bool]:
        """Which numbers must be looked up here too, of those that have an account or not."""
        return [self._looks_up_all or not each for each in registered]

    async def has_account(self, phone: E164) -> bool:
        """Whether the number has an account here, also if its user moved in because of this call.

        Raises ``ServiceError(UNAVAILABLE)`` if the source cannot tell.
        """
        mark = self._marks.of_phone(phone)
        is_here, is_absent = await self._absences.find(phone, mark)
        if is_here or is_absent:
            REQUESTS.labels("remembered").inc(is_absent)
            return is_here
        return await self._flights.run(mark, partial(self._move, phone, mark))

    async def has_name(self, name: str) -> bool:
        """Whether a user of the source has this name. They stay there. Raises ``ServiceError(UNAVAILABLE)``."""
        mark = self._marks.of_name(name)
        _, is_absent = await self._absences.find(None, mark)
        if is_absent:
            REQUESTS.labels("remembered").inc()
            return False
        return await self._flights.run(mark, partial(self._look_for_name, name, mark))

    async def aclose(self) -> None:
        """Give up what runs."""
        await self._flights.close()

    async def _move(self, phone: E164, mark: bytes) -> bool:
        line = await self._source.fetch("phone", phone)
        if line is not None and await self._arrives(phone, mark, line):
            REQUESTS.labels("found").inc()
            return True
        await self._note_absence(mark)
        return False

    async def _arrives(self, phone: E164, mark: bytes, line: bytes) -> bool:
        """Whether the number has an account now. False for someone who was here, and left or changed their number."""
        try:
            if await self._arrival.add(phone, line):
                return True
        except LineRefusedError as error:
            if not await self._is_here(phone, mark):  # or another replica was faster
                REQUESTS.labels("invalid").inc()
                self._log_refusal(phone, error)
                raise unavailable(RETRY_AFTER) from error
        return await self._is_here(phone, mark)

    def _log_refusal(self, phone: E164, error: LineRefusedError) -> None:
        phone_ref = ref_hex(self._phones.ref(phone))
        log.error("user_source.user_refused", phone_ref=phone_ref, reason=error.reason.value, detail=error.detail)

    async def _is_here(self, phone: E164, mark: bytes) -> bool:
        return (await self._absences.find(phone, mark))[0]

    async def _look_for_name(self, name: str, mark: bytes) -> bool:
        if await self._source.fetch("name", name) is None:
            await self._note_absence(mark)
            return False
        REQUESTS.labels("found").inc()
        return True

    async def _note_absence(self, mark: bytes) -> None:
        REQUESTS.labels("absent").inc()
        await self._absences.remember(mark)


class NoUserSource:
    """For an app that has none: no one is elsewhere, and no statement is run to find that out."""

    def elsewhere(self, _: Sequence[bool]) -> list[bool]:
        """None of the numbers."""
        return []

    async def has_account(self, _: E164) -> bool:
        """False: the caller has found no account."""
        return False

    async def has_name(self, _: str) -> bool:
        """False: the caller has found no such name."""
        return False
