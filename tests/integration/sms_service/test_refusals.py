"""A refused request for a code says why, and if waiting helps, for how long."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from support.sms import Sms, asking, fresh_number, refusal, running

from shared.errors import ErrorCode, ServiceError, unavailable
from shared.internal_api.replies import problem
from shared.phone import E164
from sms_service.callers.rate_limits import NoCallerLimits
from sms_service.spending.gate import NoSpendingLimits
from sms_service.spending.refusals import BlockedError


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


class Refusing(NoCallerLimits):
    """Caller limits that refuse each send, or cannot decide."""

    def __init__(self, error: ServiceError) -> None:
        self._error = error

    async def charge_send(self, *_: object) -> bool:
        raise self._error


class Blocked(NoSpendingLimits):
    """A spending limit that refuses all numbers."""

    def refuse_blocked(self, number: E164, *, is_known: bool) -> None:  # noqa: ARG002  the port names it
        raise BlockedError(600)


async def cooldown(sms: Sms) -> ServiceError:
    number = fresh_number()
    await sms.codes().issue(asking(number))
    return await refusal(sms.codes().issue(asking(number)))


async def daily_cap(sms: Sms) -> ServiceError:
    number = fresh_number()
    await sms.codes().issue(asking(number))
    await sms.age(number, seconds=61)
    return await refusal(sms.codes().issue(asking(number, daily_cap=1)))


async def caller(sms: Sms) -> ServiceError:
    error = ServiceError(ErrorCode.CALLER_LIMIT, retry_after=90)
    return await refusal(sms.codes(Refusing(error)).issue(asking(fresh_number())))


async def limits_unavailable(sms: Sms) -> ServiceError:
    return await refusal(sms.codes(Refusing(unavailable())).issue(asking(fresh_number())))


async def spending(sms: Sms) -> ServiceError:
    return await refusal(sms.codes(spending_guard=Blocked()).issue(asking(fresh_number())))


@pytest.mark.parametrize(
    ("refused", "code", "status"),
    [
        (cooldown, ErrorCode.COOLDOWN, 429),
        (daily_cap, ErrorCode.DAILY_CAP, 429),
        (caller, ErrorCode.CALLER_LIMIT, 429),
        (limits_unavailable, ErrorCode.UNAVAILABLE, 503),
        (spending, ErrorCode.SENDING_PAUSED, 503),
    ],
)
async def test_a_refusal_that_waiting_resolves_says_for_how_long(
    sms: Sms, refused: Callable[[Sms], Awaitable[ServiceError]], code: ErrorCode, status: int
) -> None:
    error = await refused(sms)
    answer = problem(error)

    assert (error.code, answer.status) == (code, status)
    assert error.retry_after is not None
    assert error.retry_after >= 1
    assert answer.response().headers["Retry-After"] == str(error.retry_after)
