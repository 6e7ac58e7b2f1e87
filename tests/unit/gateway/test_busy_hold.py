"""Refusals of busy hashing are held; everything else passes at once."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.flows.busy_hold import HOLD_SECONDS, BusyHold
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LOG_IN_WITH_PASSWORD, RESOLVE, LogInWithPassword, Resolve
from shared.internal_api.endpoint import Endpoint, WireModel

LOG_IN = LogInWithPassword(phone="+8613800138000", secret="0" * 32, address="203.0.113.7", dialect="native")


@dataclass
class Scene:
    """A service that refuses every call, and the seconds for which its refusals were held."""

    code: ErrorCode
    held_for: list[float] = field(default_factory=list)

    async def call(self, *_: object) -> Any:
        raise ServiceError(self.code, retry_after=3)

    async def sleep(self, seconds: float) -> None:
        self.held_for.append(seconds)

    async def refused(self, endpoint: Endpoint[Any, Any], request: WireModel) -> ServiceError:
        with pytest.raises(ServiceError) as refusal:
            await BusyHold(self, sleep=self.sleep).call(endpoint, request)
        return refusal.value


async def test_a_busy_log_in_is_held_and_then_refused_as_the_service_refuses_it() -> None:
    scene = Scene(ErrorCode.UNAVAILABLE)

    refusal = await scene.refused(LOG_IN_WITH_PASSWORD, LOG_IN)

    assert (refusal.code, refusal.retry_after) == (ErrorCode.UNAVAILABLE, 3)
    assert [0 < seconds <= HOLD_SECONDS for seconds in scene.held_for] == [True]


async def test_every_other_refusal_and_every_other_call_passes_at_once() -> None:
    wrong, unavailable = Scene(ErrorCode.CREDENTIALS_REFUSED), Scene(ErrorCode.UNAVAILABLE)

    await wrong.refused(LOG_IN_WITH_PASSWORD, LOG_IN)
    await unavailable.refused(RESOLVE, Resolve(token="token"))

    assert wrong.held_for == unavailable.held_for == []
