"""Long lists of contacts: their session is known before they are parsed, in every type of body."""

import json
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from support.app import App, Reply, fresh_number

PATH = "/v1/user/register/check_contact.json"
LONG = 1_400
"""So many numbers are longer than a small body, and still fit as a multipart form."""


@pytest.fixture
async def user(app: App) -> dict[str, Any]:
    return await app.register(fresh_number(), "correct horse")


def bodies(user_id: int, token: str | None, numbers: list[str]) -> dict[str, dict[str, Any]]:
    """The same request as JSON, form and multipart form, as options of a call."""
    pairs = [("source", "test"), ("userId", str(user_id)), *([("token", token)] if token else [])]
    form = [*(("phoneNumbers[]", number) for number in numbers), *pairs]
    multipart = aiohttp.FormData(default_to_multipart=True)
    for name, value in form:
        multipart.add_field(name, value)
    return {
        "json": {"json": {"phoneNumbers": numbers, **dict(pairs)}},
        "form": {"data": urlencode(form), "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        "multipart": {"data": multipart},
    }


def a_list(size: int = LONG) -> list[str]:
    return [f"139{number:08d}" for number in range(size)]


@pytest.mark.parametrize("kind", ["json", "form", "multipart"])
async def test_a_long_list_of_a_user_is_matched(app: App, user: dict[str, Any], kind: str) -> None:
    member = await app.register(fresh_number(), "correct horse")
    numbers = [*a_list(LONG - 1), member["phone"]]

    reply = await app.call("POST", PATH, **bodies(user["userId"], user["token"], numbers)[kind])

    assert reply.body["success"] == "true", reply.body


@pytest.mark.parametrize("kind", ["json", "form", "multipart"])
@pytest.mark.parametrize(("token", "error"), [(None, "10005"), ("unknown", "10007")])
async def test_a_long_list_without_a_living_session_is_refused(
    app: App, kind: str, token: str | None, error: str
) -> None:
    reply = await app.call("POST", PATH, **bodies(1, token, a_list())[kind])

    assert reply.body["error_code"] == error


async def test_a_long_list_is_matched_with_the_bearer_token_alone(app: App, user: dict[str, Any]) -> None:
    body = {"source": "test", "userId": user["userId"], "phoneNumbers": a_list()}
    headers = {"Authorization": f"Bearer {user['token']}"}

    assert (await app.call("POST", PATH, json=body, headers=headers)).body["success"] == "true"


async def test_a_list_with_another_users_id_is_refused(app: App, user: dict[str, Any]) -> None:
    reply = await app.call("POST", PATH, **bodies(user["userId"] + 1, user["token"], a_list())["json"])

    assert reply.body["error_code"] == "10007"


async def post(app: App, text: str, **headers: str) -> Reply:
    return await app.call("POST", PATH, data=text.encode(), headers={"Content-Type": "application/json", **headers})


async def test_nested_and_endless_bodies_are_refused_from_everybody(app: App, user: dict[str, Any]) -> None:
    objects = f'{{"token": "{user["token"]}", "x": [' + ",".join(["{}"] * 80_000) + "]}"
    for text in (objects, objects.replace(user["token"], "x"), "[" * 250_000, '{"x": "' + "y" * 250_000 + '"}'):
        assert (await post(app, text)).body["error_code"] in {"10005", "10007"}
        bearer = await post(app, text, Authorization=f"Bearer {user['token']}")
        assert bearer.body["error_code"] == "10005"


async def test_a_long_list_whose_token_is_escaped_is_matched_with_the_bearer_token(
    app: App, user: dict[str, Any]
) -> None:
    body = json.dumps({"source": "test", "userId": user["userId"], "token": "T", "phoneNumbers": a_list()})
    escaped = "".join(f"\\u{ord(character):04x}" for character in user["token"])

    reply = await post(app, body.replace('"T"', f'"{escaped}"'), Authorization=f"Bearer {user['token']}")

    assert reply.body["success"] == "true"
