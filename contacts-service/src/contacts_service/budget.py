"""How many new numbers a user may ask about: counted in Redis by HyperLogLog, so that no list is kept."""

import struct
from collections.abc import Collection

from contacts_service.matching import Charge
from shared.errors import ErrorCode, ServiceError
from shared.redis import Script

FORGOTTEN_SECONDS = 400 * 86_400
"""After so long without use a budget starts anew; by then its user had earned more than he gets afresh."""


class Budget:
    """So many distinct numbers, and some more for each hour since first use; asking again is free.

    Counts are estimates: exact to a few for small books, within about 1 % at 5,000 and more.
    """

    def __init__(self, script: Script, *, numbers: int, per_hour: int) -> None:
        self._script = script
        self._numbers = numbers
        self._per_hour = per_hour

    async def charge(self, user_id: int, refs: Collection[int]) -> Charge:
        """Count the new ones among ``refs``, in one step.

        Raises ``ServiceError``: ``CONTACT_BUDGET`` when they are not all covered (then none is counted) with
        the seconds until they would be; ``UNAVAILABLE`` when Redis is away, for then nobody counts.
        """
        keys = [f"{{contacts:{user_id}}}:{part}" for part in ("seen", "since", "trial")]
        blob = struct.pack(f">{len(refs)}q", *refs)
        taken, left, wait = await self._script(keys, [self._numbers, self._per_hour, FORGOTTEN_SECONDS, blob])
        if taken < 0:
            raise ServiceError(ErrorCode.CONTACT_BUDGET, retry_after=wait)
        return Charge(taken, left)
