"""What operators lift: the limits on codes of a number, and the block of a prefix."""

from collections.abc import Collection, Sequence
from typing import Protocol

import structlog

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.operators.codes import LiftCodeLimits, Lifted, UnblockPrefix
from shared.phone import PhoneKeys, ref_hex
from sms_service.spending.monitor import PrefixMonitor
from sms_service.verification.send_limits import KNOWN_LANES

log = structlog.get_logger()


class NumberActivityRepository(Protocol):
    """The last 24 hours of all numbers."""

    async def send_networks(self, phone_ref: int) -> Sequence[str]:
        """For whom codes were sent to a number, as ``Send`` has it."""

    async def forget(self, phone_ref: int) -> bool:
        """Forget the sends and the incorrect codes of a number; False if there are none."""


class SendLimits(Protocol):
    """The limits on callers that count what each place sends to a number."""

    async def forget_sends(self, phone_ref: int, places: Collection[str]) -> None:
        """Forget what these places sent to the number. Raises ``UNAVAILABLE``."""


class OperatorLimits:
    """Without ``[spending]`` there is no ``monitor``, and no prefix to unblock."""

    def __init__(
        self,
        activity: NumberActivityRepository,
        callers: SendLimits,
        phones: PhoneKeys,
        monitor: PrefixMonitor | None,
    ) -> None:
        self._activity = activity
        self._callers = callers
        self._phones = phones
        self._monitor = monitor

    async def lift(self, request: LiftCodeLimits) -> Lifted:
        """Let the number get codes and enter them again, from every place that it got them for.

        Where they were sent for is forgotten last: until then the call can be repeated.
        """
        phone_ref = self._phones.ref(request.phone)
        places = set(await self._activity.send_networks(phone_ref)) - {"", *KNOWN_LANES}
        await self._callers.forget_sends(phone_ref, places)
        changed = await self._activity.forget(phone_ref)
        log.warning("limits.lifted", phone_ref=ref_hex(phone_ref), operator=request.operator, changed=changed)
        return Lifted(changed=changed)

    async def unblock(self, request: UnblockPrefix) -> Lifted:
        """End the stage of a prefix. Raises ``NOT_FOUND`` without ``[spending]``."""
        if self._monitor is None:
            raise ServiceError(ErrorCode.NOT_FOUND)
        changed = await self._monitor.unblock(request.scope)
        log.warning("prefix.unblocked", scope=request.scope, operator=request.operator, changed=changed)
        return Lifted(changed=changed)
