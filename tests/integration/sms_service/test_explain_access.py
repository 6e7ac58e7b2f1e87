"""How an operator asks why there is no code: on the command line, and over HTTP with a token of his own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import structlog
from aiohttp.test_utils import TestServer
from stack import ports
from support.sms import PHONES, Recorder, Sms, asking, fresh_database, fresh_number, process, refusal

from shared.phone import E164, mask, ref_hex
from sms_service.app import create_api
from sms_service.settings import SmsSettings

OPERATOR = "an-operator's-own-token-of-some-length"


@dataclass(frozen=True)
class Desk:
    """A running API over a database with rows of the real rules; auth-service is away."""

    sms: Sms
    settings: SmsSettings
    api: str
    browser: aiohttp.ClientSession

    async def post(self, token: str | None, body: dict[str, Any], path: str = "/v1/explain") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.browser.post(self.api + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def type(self, *words: str, **environ: str) -> tuple[int, str, str]:
        """``python -m sms_service explain``: its exit status, output and errors."""
        given = {
            **os.environ,
            "ENVIRONMENT": "development",
            "POSTGRES_URL": self.settings.postgres_url,
            "SMS_DATABASE": self.settings.sms_database,
            "AUTH_URL": self.settings.auth_url,
            **environ,
        }
        command = (sys.executable, "-m", "sms_service", "explain", *words)
        started = await asyncio.create_subprocess_exec(
            *command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await started.communicate()
        return started.returncode or 0, out.decode(), err.decode()

    async def refused_number(self) -> E164:
        """A number whose message was taken, and that asked again too soon."""
        number = fresh_number()
        await self.sms.codes().issue(asking(number))
        (row,) = await self.sms.sends(number)
        await self.sms.delivery(Recorder(name="mainland")).deliver(row["message_id"])
        await refusal(self.sms.codes().issue(asking(number)))
        return number


def settings_of(database: str, postgres_url: str, redis_url: str, amqp_url: str, **more: Any) -> SmsSettings:
    return SmsSettings(
        environment="development",
        postgres_url=postgres_url,
        redis_url=redis_url,
        amqp_url=amqp_url,
        sms_database=database,
        caller_limits="off",
        auth_url=f"http://127.0.0.1:{ports.free_port()}",
        **more,
    )


@pytest.fixture(scope="module")
async def desk(postgres_url: str, redis_url: str, amqp_url: str) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database(postgres_url))
        sms = await stack.enter_async_context(process(postgres_url, database))
        settings = settings_of(database, postgres_url, redis_url, amqp_url, operator_token=OPERATOR)
        server = await stack.enter_async_context(TestServer(create_api(settings)))
        browser = await stack.enter_async_context(aiohttp.ClientSession())
        yield Desk(sms, settings, str(server.make_url("")).rstrip("/"), browser)


async def test_the_command_line_answers_first_and_then_tells_every_step_in_aligned_columns(desk: Desk) -> None:
    number = await desk.refused_number()
    status, out, err = await desk.type(number)

    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{number}  (reference {ref_hex(PHONES.ref(number))}; the last 30 days")
    assert lines[2].startswith("=> Refused by cooldown until ")
    told = [line for line in lines if line[3:5] == "20"]
    assert [line[44:50] for line in told] == ["client", "limits", "queue ", "worker", "mainla", "client", "limits"]
    assert "+" in told[3][28:42]


async def test_any_spelling_of_a_number_is_understood(desk: Desk) -> None:
    number = await desk.refused_number()
    for spelling in (number[3:], f"0086{number[3:]}", f"+86 {number[3:6]}-{number[6:]}"):
        status, out, _ = await desk.type(spelling, "--json", "--days", "1")
        story = json.loads(out)
        assert (status, story["about"], story["verdict"]["kind"]) == (0, number, "cooldown")


async def test_a_number_without_a_record_is_said_to_have_none_whatever_its_country(desk: Desk) -> None:
    status, out, _ = await desk.type("+85251234567")
    assert status == 0
    assert "=> Nothing was asked for this number in the last 30 days." in out
    assert "never reached sms-service" in out


@pytest.mark.parametrize("asked", ["12345", "somebody", "+86138001380001380001380013800013800", ""])
async def test_what_is_neither_number_nor_id_is_refused_with_a_reason(desk: Desk, asked: str) -> None:
    status, out, err = await desk.type(asked)
    assert (status, out) == (2, "")
    assert err.startswith("sms-service: this is no phone number and no id.")


async def test_who_types_an_id_is_not_shown_the_number(desk: Desk) -> None:
    number = await desk.refused_number()
    (row,) = await desk.sms.sends(number)
    for identity in (row["message_id"], row["verification_id"]):
        for form in ([], ["--json"]):
            status, out, err = await desk.type(str(identity), *form)
            assert status == 0
            assert number[3:] not in out + err
            assert mask(number) in out

    status, out, err = await desk.type(str(uuid4()))
    assert (status, out) == (1, "")
    assert "is kept" in err


async def test_the_command_needs_no_key_that_makes_codes_and_names_what_it_does_need(desk: Desk) -> None:
    secrets = {"SERVICE_TOKEN": "ab" * 32, "ENVIRONMENT": "production"}
    status, _, err = await desk.type("+8613800138000", **secrets)
    assert (status, err) == (
        2,
        "sms-service cannot start: PHONE_KEY is missing: a secret has no default outside development\n",
    )
    status, out, _ = await desk.type("+8613800138000", PHONE_KEY="cd" * 32, **secrets)
    assert (status, "Nothing was asked" in out) == (0, True)


async def test_an_operator_is_told_the_same_over_http(desk: Desk) -> None:
    number = await desk.refused_number()
    (row,) = await desk.sms.sends(number)

    status, story = await desk.post(OPERATOR, {"phone": number[3:]})
    assert (status, story["about"], story["verdict"]["kind"]) == (200, number, "cooldown")
    assert [entry["by"] for entry in story["timelines"][0]["entries"]][:3] == ["client", "limits", "queue"]

    for name in ("verification_id", "message_id"):
        status, story = await desk.post(OPERATOR, {name: str(row[name])})
        assert (status, story["about"]) == (200, mask(number))
        assert number[3:] not in json.dumps(story)
    assert (await desk.post(OPERATOR, {"message_id": str(uuid4())}))[0] == 404


async def test_only_the_operators_token_opens_it_and_it_opens_nothing_else(desk: Desk) -> None:
    services = desk.settings.service_token.get_secret_value()
    for token in (None, "wrong", services, OPERATOR + "x"):
        status, body = await desk.post(token, {"phone": "13800138000"})
        assert (status, body["code"]) == (401, "unauthenticated")
    status, body = await desk.post(OPERATOR, {}, "/v1/codes/check")
    assert (status, body["code"]) == (401, "unauthenticated")
    assert (await desk.post(services, {}, "/v1/codes/check"))[0] == 400


async def test_a_question_that_is_none_is_refused(desk: Desk) -> None:
    one = str(uuid4())
    for body in ({}, {"phone": "13800138000", "message_id": one}, {"message_id": "x"}, {"phone": 1}, {"days": 0}):
        assert (await desk.post(OPERATOR, body))[0] == 400
    assert (await desk.post(OPERATOR, {"phone": "somebody"}))[0] == 422


async def test_each_question_is_noted_without_the_number(desk: Desk) -> None:
    number = await desk.refused_number()
    with structlog.testing.capture_logs() as lines:
        await desk.post(OPERATOR, {"phone": number})
    (line,) = [line for line in lines if line["event"] == "explain.answered"]
    assert line == {
        "event": "explain.answered",
        "log_level": "warning",
        "who": "operator",
        "by": "number",
        "phone_ref": ref_hex(PHONES.ref(number)),
        "masked": mask(number),
    }


async def test_without_a_token_of_operators_the_call_does_not_exist(
    desk: Desk, postgres_url: str, redis_url: str, amqp_url: str
) -> None:
    settings = settings_of(desk.sms.database, postgres_url, redis_url, amqp_url)
    services = settings.service_token.get_secret_value()
    async with TestServer(create_api(settings)) as server:
        closed = Desk(desk.sms, settings, str(server.make_url("")).rstrip("/"), desk.browser)
        for token in (None, OPERATOR, services):
            assert (await closed.post(token, {"phone": "13800138000"}))[0] == 404


async def test_the_command_line_says_what_it_can_do() -> None:
    for words, expected in (
        (("--help",), (b"serve", b"worker", b"migrate", b"explain", b"Without a command it serves.")),
        (("explain", "--help"), (b"NUMBER|ID", b"--days", b"--json")),
    ):
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sms_service", *words, stdout=subprocess.PIPE
        )
        out, _ = await started.communicate()
        assert started.returncode == 0
        assert [word for word in expected if word not in out] == []
