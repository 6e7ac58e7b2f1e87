"""When a caller learns whether a number has an account, in every dialect: as the contracts write, and after proof."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from load.timed_calls import FLOWS, Flow, NumberCalls
from stack.system import Stack
from support.app import App, Reply, fresh_number, wrong
from support.database import Tables
from support.dialect_clients import DIALECT_CLIENTS, WITH_RESET, Environment

PASSWORD = "secret123"
MODES = ("contract", "after_proof")
HAS_ACCOUNT, HAS_NONE = "您已有账号", "您还没有账号"

TAKEN = {
    "maitian": "10000",
    "native": "number_taken",
    "phone_info": "USER_PHONE_EXIST",
    "register_page": "1003",
    "tel": "您的手机号码已被注册了。",
}
TAKEN_AT_REGISTRATION = TAKEN | {"tel": "用户已存在。"}
NO_ACCOUNT = {"maitian": "20001", "native": "no_account", "tel": "用户不存在。"}
WRONG_CODE = {
    "maitian": "10001",
    "native": "code_refused",
    "phone_info": "PHONE_NOT_VALIDATE",
    "register_page": "1004",
    "tel": "验证码错误，请重新输入。",
}
WRONG_CODE_IN_RESET = WRONG_CODE | {"maitian": "20002"}
OF_ONE_REQUEST = {"challenge", "result", "token", "tel", "timestamp"}
"""The fields of a response that differ for every request, or show the number of the request."""


@pytest.fixture(scope="module")
async def environments(system: Stack, app: App, tables: Tables) -> AsyncIterator[dict[str, Environment]]:
    """A gateway for each kind of disclosure, before the same services."""
    gateway = system.launch("gateway", label="after-proof-gateway", env={"ACCOUNT_DISCLOSURE": "after_proof"})
    after_proof = replace(app, gateway=gateway.url)
    yield {"contract": Environment(app, tables), "after_proof": Environment(after_proof, tables)}
    gateway.stop()


async def registered(environment: Environment) -> str:
    """A number with an account, whose cooldown is over."""
    number = fresh_number()
    await environment.app.register(number, PASSWORD)
    await environment.end_cooldown(number)
    return number


def word_of(reply: Reply) -> str | None:
    """What a reply says of its outcome, in the words of its dialect; None for a success without words."""
    names = ("error_code", "errorCode", "error", "code")
    return next((str(reply.body[name]) for name in names if name in reply.body), None)


def constant(reply: Reply) -> tuple[int, Any, list[str]]:
    """What a reply shows of its number: everything but what differs in every response."""
    body = {name: value for name, value in reply.body.items() if name not in OF_ONE_REQUEST}
    return reply.status, body, sorted(reply.body)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dialect", DIALECT_CLIENTS)
async def test_a_registration_of_a_number_with_an_account(
    environments: dict[str, Environment], dialect: str, mode: str
) -> None:
    environment, client = environments[mode], DIALECT_CLIENTS[dialect]
    number, free = await registered(environment), fresh_number()

    sent, as_free = [await client.send_registration_code(environment, each) for each in (number, free)]

    assert as_free.status < 300
    if mode == "contract":
        assert word_of(sent) == TAKEN[dialect]
        return
    assert constant(sent) == constant(as_free)
    message = await environment.app.message(number, after=environment.app.read[number])
    assert HAS_ACCOUNT in message["text"]
    assert HAS_ACCOUNT not in (await environment.app.message(free))["text"]
    refused = await client.register(environment, number, PASSWORD, await environment.app.code(number))
    assert word_of(refused) == TAKEN_AT_REGISTRATION[dialect]
    accepted = await client.register(environment, free, PASSWORD, await environment.app.code(free))
    assert accepted.status < 300, accepted.body


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dialect", WITH_RESET)
async def test_a_reset_for_a_number_without_an_account(
    environments: dict[str, Environment], dialect: str, mode: str
) -> None:
    environment, client = environments[mode], WITH_RESET[dialect]
    assert client.send_reset_code is not None
    assert client.reset is not None
    unknown, known = fresh_number(), await registered(environment)

    sent, as_known = [await client.send_reset_code(environment, number) for number in (unknown, known)]

    assert as_known.status < 300
    if mode == "contract":
        assert word_of(sent) == NO_ACCOUNT[dialect]
        return
    assert constant(sent) == constant(as_known)
    assert HAS_NONE in (await environment.app.message(unknown))["text"]
    refused = await client.reset(environment, unknown, "changed123", await environment.app.code(unknown))
    assert word_of(refused) == NO_ACCOUNT[dialect]
    accepted = await client.reset(environment, known, "changed123", await environment.app.code(known))
    assert accepted.status < 300, accepted.body


async def enter(environment: Environment, dialect: str, step: str, number: str, code: str) -> Reply:
    """Enter a code, in the call of a dialect that compares it first."""
    app = environment.app
    if dialect == "maitian" and step == "register":
        return await app.verify(number, code)
    if dialect == "native":
        purpose = "sign_up" if step == "register" else "reset_password"
        return await environment.post("/v2/verifications/check", {"phone": number, "purpose": purpose, "code": code})
    client = DIALECT_CLIENTS[dialect]
    use = client.register if step == "register" else client.reset
    assert use is not None
    return await use(environment, number, PASSWORD, code)


@pytest.mark.parametrize("step", ["register", "reset"])
@pytest.mark.parametrize("dialect", DIALECT_CLIENTS)
async def test_after_proof_a_wrong_code_says_nothing_of_an_account(
    environments: dict[str, Environment], dialect: str, step: str
) -> None:
    environment, client = environments["after_proof"], DIALECT_CLIENTS[dialect]
    send = client.send_registration_code if step == "register" else client.send_reset_code
    if send is None:
        assert dialect not in WITH_RESET
        return
    refused = []
    for number in (await registered(environment), fresh_number()):
        sent = await send(environment, number)
        if dialect == "phone_info":
            environment.tickets[number] = sent.body["result"]
        refused.append(await enter(environment, dialect, step, number, wrong(await environment.app.code(number))))

    with_account, without = refused
    assert word_of(without) == (WRONG_CODE if step == "register" else WRONG_CODE_IN_RESET)[dialect]
    assert constant(with_account) == constant(without)


async def test_as_the_contracts_write_a_wrong_code_in_a_reset_tells_that_there_is_no_account(
    environments: dict[str, Environment],
) -> None:
    environment, number = environments["contract"], fresh_number()
    assert word_of(await environment.app.reset(number, "123456", PASSWORD)) == NO_ACCOUNT["maitian"]
    assert word_of(await enter(environment, "tel", "reset", number, "123456")) == NO_ACCOUNT["tel"]


@pytest.mark.parametrize(("mode", "error_code"), [("contract", "1003"), ("after_proof", "0000")])
async def test_check_phone_cannot_prove_anything_so_after_proof_every_number_is_available(
    environments: dict[str, Environment], mode: str, error_code: str
) -> None:
    environment = environments[mode]
    number = await registered(environment)
    replies = [await environment.post("/v1/register/checkPhone", {"phone": each}) for each in (number, fresh_number())]
    assert [word_of(reply) for reply in replies] == [error_code, "0000"]


async def test_after_proof_a_log_in_by_code_tells_that_there_is_no_account_once_the_code_is_right(
    environments: dict[str, Environment],
) -> None:
    environment, number = environments["after_proof"], fresh_number()
    subject = {"phone": number, "purpose": "sign_in"}
    assert (await environment.post("/v2/verifications", subject)).status == 202
    code = await environment.app.code(number)
    checked = await environment.post("/v2/verifications/check", {**subject, "code": code})
    reply = await environment.post("/v2/sessions", {"ticket": checked.body["ticket"]})
    assert (reply.status, word_of(reply)) == (404, "no_account")


async def test_after_proof_a_taken_new_number_is_refused_when_the_number_is_changed(
    environments: dict[str, Environment],
) -> None:
    environment = environments["after_proof"]
    own, other = await registered(environment), await registered(environment)
    tokens = await environment.post("/v2/sessions", {"phone": own, "password": PASSWORD})
    headers = {"Authorization": f"Bearer {tokens.body['access_token']}"}
    tickets = {}
    for name, number in (("old_ticket", own), ("new_ticket", other)):
        subject = {"phone": number, "purpose": "change_phone"}
        sent = await environment.app.call("POST", "/v2/verifications", json=subject, headers=headers)
        assert sent.status == 202
        code = await environment.app.code(number)
        checked = await environment.post("/v2/verifications/check", {**subject, "code": code})
        tickets[name] = checked.body["ticket"]
    reply = await environment.app.call("PUT", "/v2/me/phone", json=tickets, headers=headers)
    assert (reply.status, word_of(reply)) == (409, "number_taken")


async def test_a_session_and_a_repeated_registration_are_no_victims_of_the_mode(
    environments: dict[str, Environment],
) -> None:
    """A client that lost the answer of its registration repeats it, and is not told that the number is taken."""
    environment, number = environments["after_proof"], fresh_number()
    ticket = await environment.app.ticket(number)
    answers = [await environment.app.new_user(number, PASSWORD, ticket) for _ in range(2)]
    assert [reply.body["success"] for reply in answers] == ["true", "true"]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
async def test_after_proof_every_call_that_is_timed_answers_alike_with_and_without_an_account(
    environments: dict[str, Environment], flow: Flow
) -> None:
    """The calls of ``make timing``, which end the run unless the answer is the expected one."""
    environment = environments["after_proof"]
    for number in (await registered(environment), fresh_number()):
        calls = NumberCalls(environment.app.http, environment.app.gateway, number)
        for _, step in flow.steps:
            await step(calls)
