"""How operators ask for a report: on the command line, and over HTTP with a token of their own."""

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
from support.commands import run_command
from support.principals import strong_secret
from support.sms import PHONES, Recorder, Sms, asking, fresh_database, fresh_number, process, refusal

from shared.phone import E164, mask, ref_hex
from sms_service.app import create_api
from sms_service.settings import SmsSettings

OPERATOR = "an-operator's-own-token-of-some-length"


@dataclass(frozen=True)
class Operator:
    """An operator of a running API, over a database with real rows; auth-service is unavailable."""

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
        environment = {
            **os.environ,
            "ENVIRONMENT": "development",
            "POSTGRES_URL": self.settings.postgres_url,
            "SMS_DATABASE": self.settings.sms_database,
            "AUTH_URL": self.settings.auth_url,
            **environ,
        }
        ended = await run_command("sms_service", "explain", *words, environ=environment)
        return ended.status or 0, ended.output, ended.errors

    async def refused_number(self) -> E164:
        """A number whose message was accepted, and whose next request came too soon."""
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
async def operator(postgres_url: str, redis_url: str, amqp_url: str) -> AsyncIterator[Operator]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database(postgres_url))
        sms = await stack.enter_async_context(process(postgres_url, database))
        settings = settings_of(database, postgres_url, redis_url, amqp_url, operator_to_sms_token=OPERATOR)
        server = await stack.enter_async_context(TestServer(create_api(settings)))
        browser = await stack.enter_async_context(aiohttp.ClientSession())
        yield Operator(sms, settings, str(server.make_url("")).rstrip("/"), browser)


async def test_the_command_line_shows_the_diagnosis_and_then_every_step_in_aligned_columns(operator: Operator) -> None:
    number = await operator.refused_number()
    status, out, err = await operator.type(number)

    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{number}  (reference {ref_hex(PHONES.ref(number))}; the last 30 days")
    assert lines[2].startswith("=> The cooldown refused the request until ")
    steps = [line for line in lines if line[3:5] == "20"]
    assert [line[44:50] for line in steps] == ["client", "limits", "queue ", "worker", "mainla", "client", "limits"]
    assert "+" in steps[3][28:42]


async def test_the_command_line_accepts_any_format_of_a_number(operator: Operator) -> None:
    number = await operator.refused_number()
    for spelling in (number[3:], f"0086{number[3:]}", f"+86 {number[3:6]}-{number[6:]}"):
        status, out, _ = await operator.type(spelling, "--json", "--days", "1")
        report = json.loads(out)
        assert (status, report["number"], report["diagnosis"]["kind"]) == (0, number, "cooldown")


async def test_a_number_without_rows_is_reported_so_even_if_its_country_is_not_served(operator: Operator) -> None:
    status, out, _ = await operator.type("+85251234567")
    assert status == 0
    assert "=> No request for this number is stored for the last 30 days." in out
    assert "did not reach sms-service" in out


@pytest.mark.parametrize("text", ["12345", "someone", "+86138001380001380001380013800013800", ""])
async def test_text_that_is_neither_number_nor_id_is_refused_with_a_reason(operator: Operator, text: str) -> None:
    status, out, err = await operator.type(text)
    assert (status, out) == (2, "")
    assert err.startswith("sms-service: this is neither a phone number nor an id.")


async def test_a_report_by_id_does_not_show_the_number(operator: Operator) -> None:
    number = await operator.refused_number()
    (row,) = await operator.sms.sends(number)
    for identity in (row["message_id"], row["verification_id"]):
        for form in ([], ["--json"]):
            status, out, err = await operator.type(str(identity), *form)
            assert status == 0
            assert number[3:] not in out + err
            assert mask(number) in out

    status, out, err = await operator.type(str(uuid4()))
    assert (status, out) == (1, "")
    assert "is stored" in err


async def test_the_command_needs_no_code_keys_and_names_the_key_that_it_needs(operator: Operator) -> None:
    secrets = {
        "SMS_TO_AUTH_TOKEN": strong_secret("token"),
        "PHONE_SEAL_KEYS": f"1:{strong_secret('seal')}",
        "ENVIRONMENT": "production",
    }
    status, _, err = await operator.type("+8613800138000", **secrets)
    assert (status, err) == (
        2,
        "sms-service explain cannot start: PHONE_KEY is missing: a secret has no default outside development\n",
    )
    status, out, _ = await operator.type("+8613800138000", PHONE_KEY=strong_secret("phone"), **secrets)
    assert (status, "No request for this number" in out) == (0, True)


async def test_an_operator_gets_the_same_report_over_http(operator: Operator) -> None:
    number = await operator.refused_number()
    (row,) = await operator.sms.sends(number)

    status, report = await operator.post(OPERATOR, {"phone": number[3:]})
    assert (status, report["number"], report["diagnosis"]["kind"]) == (200, number, "cooldown")
    assert [step["actor"] for step in report["timelines"][0]["steps"]][:3] == ["client", "limits", "queue"]

    for name in ("verification_id", "message_id"):
        status, report = await operator.post(OPERATOR, {name: str(row[name])})
        assert (status, report["number"]) == (200, mask(number))
        assert number[3:] not in json.dumps(report)
    assert (await operator.post(OPERATOR, {"message_id": str(uuid4())}))[0] == 404


async def test_only_the_operator_token_opens_the_path_and_it_opens_no_other(operator: Operator) -> None:
    gateway = operator.settings.gateway_to_sms_token.get_secret_value()
    for token in (None, "wrong", OPERATOR + "x"):
        status, body = await operator.post(token, {"phone": "13800138000"})
        assert (status, body["code"]) == (401, "unknown_token")
    for token, path in ((gateway, "/v1/explain"), (OPERATOR, "/v1/codes/check")):
        status, body = await operator.post(token, {}, path)
        assert (status, body["code"]) == (403, "call_not_allowed")
    assert (await operator.post(gateway, {}, "/v1/codes/check"))[0] == 400


async def test_an_invalid_request_is_refused(operator: Operator) -> None:
    one = str(uuid4())
    for body in ({}, {"phone": "13800138000", "message_id": one}, {"message_id": "x"}, {"phone": 1}, {"days": 0}):
        assert (await operator.post(OPERATOR, body))[0] == 400
    assert (await operator.post(OPERATOR, {"phone": "someone"}))[0] == 422


async def test_each_request_is_logged_without_the_number(operator: Operator) -> None:
    number = await operator.refused_number()
    with structlog.testing.capture_logs() as lines:
        await operator.post(OPERATOR, {"phone": number})
    (line,) = [line for line in lines if line["event"] == "report.requested"]
    assert line == {
        "event": "report.requested",
        "log_level": "warning",
        "who": "operator",
        "by": "number",
        "phone_ref": ref_hex(PHONES.ref(number)),
        "masked": mask(number),
    }


async def test_without_an_operator_token_in_the_settings_the_path_does_not_exist(
    operator: Operator, postgres_url: str, redis_url: str, amqp_url: str
) -> None:
    settings = settings_of(operator.sms.database, postgres_url, redis_url, amqp_url)
    gateway = settings.gateway_to_sms_token.get_secret_value()
    async with TestServer(create_api(settings)) as server:
        closed = Operator(operator.sms, settings, str(server.make_url("")).rstrip("/"), operator.browser)
        statuses = [(await closed.post(token, {"phone": "13800138000"}))[0] for token in (None, OPERATOR, gateway)]
        assert statuses == [401, 401, 404]


async def test_the_command_line_shows_its_commands() -> None:
    for words, expected in (
        (("--help",), (b"serve", b"worker", b"migrate", b"explain", b"Without a command it serves the API.")),
        (("explain", "--help"), (b"NUMBER|ID", b"--days", b"--json")),
    ):
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sms_service", *words, stdout=subprocess.PIPE
        )
        out, _ = await started.communicate()
        assert started.returncode == 0
        assert [word for word in expected if word not in out] == []
