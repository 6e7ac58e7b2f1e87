"""The budgets of a user's look-ups, kept in Redis: new numbers, and calls. They belong to the user's number."""

from collections.abc import Collection
from datetime import UTC, datetime
from math import ceil, log2

from contacts_service.fingerprints import Fingerprints
from contacts_service.matching import BudgetCharge
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.contacts import MAX_NUMBERS
from shared.internal_api.personal_data.contacts import LookUps
from shared.redis import AnyRedis, Script

UNUSED_SECONDS = 30 * 86_400
"""A budget that was not used for so long is deleted, unless it takes longer to be whole again."""
MAX_FREE_SHARE = 0.001
"""How many of the numbers that were never looked up may count as known, and so be free, at most."""
MARGIN = 4
"""How many times fewer are expected, so that chance does not break the promise in any list of 10,000."""
PACKAGE = "contacts_service"


class Budget:
    """Allows ``numbers`` distinct numbers, and ``per_hour`` more for each hour; repeats are free.

    Idle time saves up to ``numbers``, or to one full call if that is more. Between ``numbers`` and about twice as many
    are remembered; a number that was looked up before those is new again. A refused call costs one number, and every
    call counts towards ``calls_per_minute`` (None: any number of calls).
    """

    def __init__(
        self, redis: AnyRedis, secret: bytes, *, numbers: int, per_hour: int, calls_per_minute: int | None = None
    ) -> None:
        self._charge_script = Script(redis, PACKAGE, "lua/budget.lua")
        self._forget_script = Script(redis, PACKAGE, "lua/forget.lua")
        self._look_ups_script = Script(redis, PACKAGE, "lua/look_ups.lua")
        self._fingerprints = Fingerprints(secret, fingerprint_bits(numbers))
        most, calls = max(numbers, MAX_NUMBERS), calls_per_minute or 0
        self._limits = (numbers, most, per_hour, calls, numbers, UNUSED_SECONDS, self._fingerprints.bits)

    async def charge(self, own_ref: int, refs: Collection[int]) -> BudgetCharge:
        """Count a call of the user with the number ``own_ref``, and the new numbers among ``refs``, atomically.

        Raises ``ServiceError`` with the seconds to wait: ``CALLER_LIMIT`` if there were too many calls;
        ``CONTACT_BUDGET`` if the budget does not cover all new numbers, and then none of them counts as looked up.
        ``UNAVAILABLE`` if Redis does not answer.
        """
        fingerprints = self._fingerprints.of(own_ref, refs)
        charged, left, wait = await self._charge_script([self._key(own_ref)], [*self._limits, fingerprints])
        if charged < 0:
            raise ServiceError(_REFUSALS[charged], retry_after=wait)
        return BudgetCharge(charged, left)

    async def forget(self, own_ref: int) -> None:
        """Forget which numbers were looked up, and keep how many: the next user of this number has no new budget.

        Raises ``ServiceError(UNAVAILABLE)`` if Redis does not answer.
        """
        await self._forget_script([self._key(own_ref)], [])

    async def look_ups(self, own_ref: int) -> LookUps:
        """What is stored for the user of this number. Raises ``ServiceError(UNAVAILABLE)``."""
        spent, at = await self._look_ups_script([self._key(own_ref)], [])
        if spent is None:
            return LookUps(numbers=0, last_at=None)
        return LookUps(numbers=max(0, ceil(float(spent))), last_at=datetime.fromtimestamp(float(at), UTC))

    def _key(self, own_ref: int) -> str:
        return f"contacts:{self._fingerprints.owner(own_ref)}"


_REFUSALS = {-1: ErrorCode.CONTACT_BUDGET, -2: ErrorCode.CALLER_LIMIT}


def fingerprint_bits(numbers: int) -> int:
    """How many bits a fingerprint needs: as few as keep the share with its margin, so that many numbers share each.

    Two generations are remembered; the call that fills one may still add ``MAX_NUMBERS`` to it.
    """
    remembered = 2 * (numbers + MAX_NUMBERS)
    return ceil(log2(remembered * MARGIN / MAX_FREE_SHARE))
