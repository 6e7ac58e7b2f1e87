"""Lists the numbers that have an account for the filters of the gateways, under the key of each filter."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.internal_api.directory import GainedNumbers, ListedNumbers, ListGainedNumbers, ListNumbers, slots_of
from shared.phone import E164, PhoneKeys

PAGE_NUMBERS = 1_000
"""About two milliseconds of the event loop."""

MAX_GAINED = 5_000
"""The most numbers in one list of those that were gained. More come from an import, and the filter is filled anew."""


@dataclass(frozen=True)
class Gains:
    """The numbers that accounts have got until ``now``, and when a backup was restored, since a moment."""

    now: datetime
    numbers: Sequence[E164] = field(repr=False)
    restored_at: datetime | None
    estimated_accounts: int


class NumberRepository(Protocol):
    """The accounts, as far as filters need them."""

    async def page(self, after: int, size: int) -> tuple[Sequence[E164], int | None]:
        """The numbers of the next users above ``after``, and the last of these users; None at the end."""

    async def gained(self, since: datetime | None, limit: int) -> Gains:
        """At most ``limit`` of the numbers that accounts have got since then; none without a moment."""


class NumberLists:
    """Lists numbers. With a user source the lists are never complete: it has numbers that are not here."""

    def __init__(self, numbers: NumberRepository, *, has_user_source: bool) -> None:
        self._numbers = numbers
        self._has_user_source = has_user_source

    async def page(self, request: ListNumbers) -> ListedNumbers:
        """The next page of all numbers. Raises ``ServiceError(UNAVAILABLE)``."""
        numbers, last = await self._numbers.page(request.after, PAGE_NUMBERS)
        return ListedNumbers(slots=slots_of(numbers, _keys(request.key)), last=last)

    async def gained(self, request: ListGainedNumbers) -> GainedNumbers:
        """The numbers that were gained since a moment. Raises as ``page`` does."""
        gains = await self._numbers.gained(request.since, MAX_GAINED + 1)
        return GainedNumbers(
            now=gains.now,
            slots=slots_of(gains.numbers[:MAX_GAINED], _keys(request.key)),
            is_complete=not self._has_user_source and len(gains.numbers) <= MAX_GAINED,
            restored_at=gains.restored_at,
            estimated=gains.estimated_accounts,
        )


def _keys(key: str) -> PhoneKeys:
    return PhoneKeys(bytes.fromhex(key))
