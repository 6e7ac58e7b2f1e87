"""The language of a message: the client's preferred one, or else that of the number's country, in every contract."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from stack.system import Stack
from support.app import App, fresh_number
from support.database import Tables
from support.dialect_clients import DIALECT_CLIENTS, WITH_RESET, Environment

ZH, EN = "【好码】", "[Haoma] "
HEADERS = [
    ({}, ZH),
    ({"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}, ZH),
    ({"Accept-Language": "en-US,en;q=0.9,zh;q=0.8"}, EN),
    ({"Accept-Language": "de,en;q=0.3"}, EN),
    ({"Accept-Language": "de"}, ZH),
    ({"Accept-Language": "*, en;q=0.5"}, ZH),
]


@pytest.fixture(scope="module")
async def abroad(system: Stack) -> AsyncIterator[App]:
    """A gateway that also serves Hong Kong and North America."""
    service = system.launch("gateway", label="abroad-gateway", env={"SERVED_CALLING_CODES": "86,852,1"})
    async with App.connect(service.url, system.url("sms-service")) as app:
        yield app
    service.stop()


async def text_to(app: App, number: str) -> str:
    """The newest message to a number in E.164."""
    query = {"to": number, "wait": "10"}
    async with app.http.get(f"{app.sms}/inbox/messages/latest", params=query) as response:
        assert response.status == 200
        return str((await response.json())["text"])


@pytest.mark.parametrize(("headers", "beginning"), HEADERS, ids=str)
@pytest.mark.parametrize("dialect", DIALECT_CLIENTS)
async def test_a_message_is_in_the_language_that_the_client_prefers(
    app: App, tables: Tables, dialect: str, headers: Mapping[str, str], beginning: str
) -> None:
    number = fresh_number()
    async with aiohttp.ClientSession(headers=headers) as http:
        sent = await DIALECT_CLIENTS[dialect].send_registration_code(
            Environment(replace(app, http=http), tables), number
        )

    assert sent.status < 300, sent.body
    assert (await text_to(app, "+86" + number)).startswith(beginning)


@pytest.mark.parametrize("dialect", WITH_RESET)
async def test_a_reset_message_is_in_the_language_that_the_client_prefers(
    app: App, tables: Tables, dialect: str
) -> None:
    number = fresh_number()
    await app.register(number, "secret123")
    await tables.age(number, 121)
    async with aiohttp.ClientSession(headers={"Accept-Language": "en"}) as http:
        send_code = WITH_RESET[dialect].send_reset_code
        assert send_code is not None
        sent = await send_code(Environment(replace(app, http=http), tables), number)

    assert sent.status < 300, sent.body
    text = (await app.message(number, after=app.read[number]))["text"]
    assert text.startswith(EN)
    assert "reset your password" in text


def hong_kong() -> tuple[str, str]:
    return "852", "64" + fresh_number()[-6:]


def america() -> tuple[str, str]:
    return "1", "202" + "5" + fresh_number()[-6:]


def calls(code: str, national: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """The path and body with which each contract sends a code to a number of another country."""
    number = f"+{code}{national}"
    return {
        "maitian": ("/v1/user/register/verify_code.json", {"source": "test", "phone_number": number}),
        "phone_info": ("/v1/user/sendRegisterMessage", {"phone": national, "countryCode": code}),
        "register_page": ("/v1/register/sendCode", {"phone": number}),
        "tel": ("/actions/sms", {"tel": {"dialCode": int(code), "number": int(national)}, "action": "signup"}),
        "native": ("/v2/verifications", {"phone": number, "purpose": "sign_up"}),
    }


@pytest.mark.parametrize(
    ("country", "accepted", "beginning"),
    [
        (hong_kong, "", ZH),
        (hong_kong, "en-HK", EN),
        (america, "", EN),
        (america, "fr", EN),
        (america, "*", EN),
        (america, "zh-TW", ZH),
    ],
)
@pytest.mark.parametrize("dialect", DIALECT_CLIENTS)
async def test_a_client_without_a_preference_gets_the_language_of_the_numbers_country(
    abroad: App, dialect: str, country: Any, accepted: str, beginning: str
) -> None:
    code, national = country()
    path, fields = calls(code, national)[dialect]

    sent = await abroad.call("POST", path, json=fields, headers={"Accept-Language": accepted} if accepted else {})

    assert sent.status < 300, sent.body
    assert (await text_to(abroad, f"+{code}{national}")).startswith(beginning)


def test_every_dialect_is_covered() -> None:
    assert set(calls("1", "2025550123")) == set(DIALECT_CLIENTS)
