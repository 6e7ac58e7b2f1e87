"""What operators do about codes: explain a number, lift its limits, and unblock a prefix."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from stack import ports
from support.principals import strong_secret
from support.sms import Sms, asking, fresh_database, fresh_number, process, refusal

from shared.errors import ErrorCode
from shared.internal_api.client import InternalClient, internal_client
from shared.internal_api.operators.codes import (
    EXPLAIN_CODES,
    LIFT_CODE_LIMITS,
    UNBLOCK_PREFIX,
    ExplainCodes,
    LiftCodeLimits,
    UnblockPrefix,
)
from shared.phone import mask
from sms_service.app import create_api
from sms_service.settings import SmsSettings

WHO = {"operator": "ada", "reason": "ticket 4711"}
TOKEN = strong_secret("operator")


@pytest.fixture(scope="module")
async def served(postgres_url: str, redis_url: str, amqp_url: str) -> AsyncIterator[tuple[Sms, InternalClient]]:
    """The rooms of a service over a database, and a client of its API as the operator."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database(postgres_url))
        sms = await stack.enter_async_context(process(postgres_url, database))
        settings = SmsSettings(
            environment="development",
            postgres_url=postgres_url,
            redis_url=redis_url,
            amqp_url=amqp_url,
            sms_database=database,
            caller_limits="off",
            auth_url=f"http://127.0.0.1:{ports.free_port()}",
            operator_to_sms_token=TOKEN,
        )
        server = await stack.enter_async_context(TestServer(create_api(settings)))
        url = str(server.make_url("")).rstrip("/")
        yield sms, await stack.enter_async_context(internal_client(url, SecretStr(TOKEN)))


async def test_a_number_gets_codes_at_once_after_its_limits_are_lifted(served: tuple[Sms, InternalClient]) -> None:
    sms, client = served
    number = fresh_number()
    await sms.codes().issue(asking(number))
    assert (await refusal(sms.codes().issue(asking(number)))).code is ErrorCode.COOLDOWN

    lifted = [await client.call(LIFT_CODE_LIMITS, LiftCodeLimits(**WHO, phone=number)) for _ in range(2)]

    assert [each.changed for each in lifted] == [True, False]
    assert (await sms.codes().issue(asking(number))).resend_after == 60


async def test_a_report_shows_the_number_only_to_those_who_may_see_it(served: tuple[Sms, InternalClient]) -> None:
    sms, client = served
    number = fresh_number()
    await sms.codes().issue(asking(number))

    clear = await client.call(EXPLAIN_CODES, ExplainCodes(**WHO, phone=number, sees_numbers=True))
    masked = await client.call(EXPLAIN_CODES, ExplainCodes(**WHO, phone=number))

    assert (clear.report["number"], masked.report["number"]) == (number, mask(number))
    assert number[3:] not in json.dumps(masked.report)
    assert masked.report["timelines"][0]["steps"]


async def test_without_spending_there_is_no_prefix_to_unblock(served: tuple[Sms, InternalClient]) -> None:
    _, client = served
    call = client.call(UNBLOCK_PREFIX, UnblockPrefix(**WHO, scope="range:+861380013"))
    assert (await refusal(call)).code is ErrorCode.NOT_FOUND
