"""Parameters are checked against the model of a call: null is absent, and so is an empty text that may be."""

import asyncio
import json

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from gateway.http.body.media_types import FORM, JSON
from gateway.http.request_parsing import Parameters, Text, Unchecked, read_parameters, read_unchecked
from gateway.native.requests import Register
from shared.errors import ErrorCode, ServiceError


class Example(Parameters):
    phone: Text
    client: Text = "default"
    shown: bool | None = None
    count: int = 0
    motto: str | None = None


def request_with(body: str, media_type: str, query: str = "") -> web.Request:
    content = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16)
    content.feed_data(body.encode())
    content.feed_eof()
    headers = {"Content-Type": media_type, "Content-Length": str(len(body))}
    return make_mocked_request("POST", f"/?{query}", headers=headers, payload=content)


async def read(body: str, media_type: str = JSON, *, query: str | None = None) -> Example:
    return await read_parameters(request_with(body, media_type, query or ""), Example, also_query=query is not None)


async def unchecked(body: str) -> Unchecked[Example]:
    return await read_unchecked(request_with(body, JSON), Example)


async def refusal(body: str, media_type: str = JSON) -> tuple[ErrorCode, str | None]:
    with pytest.raises(ServiceError) as error:
        await read(body, media_type)
    return error.value.code, error.value.field


async def test_a_parameter_that_is_null_is_absent() -> None:
    assert await read('{"client": null, "phone": "1", "shown": null, "count": null}') == Example(phone="1")


async def test_a_required_parameter_that_is_null_or_empty_is_missing() -> None:
    assert await refusal('{"phone": null, "client": null}') == (ErrorCode.PARAMETER_MISSING, "phone")
    assert await refusal('{"phone": ""}') == (ErrorCode.PARAMETER_MISSING, "phone")
    assert await refusal("phone=", FORM) == (ErrorCode.PARAMETER_MISSING, "phone")


@pytest.mark.parametrize(("body", "media_type"), [('{"client": "", "phone": "1"}', JSON), ("phone=1&client=", FORM)])
async def test_an_optional_text_that_is_empty_is_absent(body: str, media_type: str) -> None:
    assert await read(body, media_type) == Example(phone="1")


async def test_a_password_that_is_empty_is_not_absent() -> None:
    with pytest.raises(ServiceError) as error:
        await read_parameters(request_with('{"ticket": "x", "password": "", "client": ""}', JSON), Register)

    assert (error.value.code, error.value.field) == (ErrorCode.PARAMETER_INVALID, "password")


async def test_an_empty_text_stays_where_it_is_a_value() -> None:
    assert (await read('{"phone": "1", "motto": ""}')).motto == ""


async def test_what_is_missing_is_refused_before_what_is_malformed() -> None:
    assert await refusal('{"count": "x", "client": 5}') == (ErrorCode.PARAMETER_MISSING, "phone")
    assert await refusal('{"count": "x", "phone": ""}') == (ErrorCode.PARAMETER_MISSING, "phone")


async def test_malformed_parameters_are_given_until_they_are_checked() -> None:
    """So a call asks for the session between the two."""
    parameters = await unchecked('{"phone": "1", "count": "x", "client": 5}')
    assert (parameters.text("phone"), parameters.text("client"), parameters.text("motto")) == ("1", None, None)
    with pytest.raises(ServiceError) as error:
        parameters.checked()
    assert (error.value.code, error.value.field) == (ErrorCode.PARAMETER_INVALID, "client")


@pytest.mark.parametrize("value", ["", "x"])
async def test_an_optional_parameter_of_the_wrong_type_is_not_called_missing(value: str) -> None:
    assert await refusal(json.dumps({"phone": "1", "count": value})) == (ErrorCode.PARAMETER_INVALID, "count")


@pytest.mark.parametrize("media_type", [JSON, FORM, "application/octet-stream", "text/plain"])
async def test_an_empty_body_beside_a_query_is_no_body_with_any_content_type(media_type: str) -> None:
    assert await read("", media_type, query="phone=1") == Example(phone="1")


async def test_a_null_in_the_body_leaves_the_parameter_of_the_query() -> None:
    assert await read('{"phone": null, "client": "app"}', query="phone=1") == Example(phone="1", client="app")


async def test_a_parameter_in_the_query_and_in_the_body_is_refused() -> None:
    with pytest.raises(ServiceError) as error:
        await read('{"phone": "1"}', query="phone=1")
    assert error.value.code is ErrorCode.PARAMETER_INVALID


@pytest.mark.parametrize(
    ("text", "shown"), [("true", True), ("True", True), ("1", True), ("false", False), ("FALSE", False), ("0", False)]
)
async def test_a_form_writes_a_boolean_as_text(text: str, shown: bool) -> None:
    assert (await read(f"phone=1&shown={text}", FORM)).shown is shown


@pytest.mark.parametrize("text", ["", "yes", "on", "2", "null", "t", "truee"])
async def test_other_texts_are_no_boolean(text: str) -> None:
    assert (await refusal(f"phone=1&shown={text}", FORM))[1] == "shown"


@pytest.mark.parametrize("value", ["true", "1", 1, 0, "", [], {}])
async def test_only_a_boolean_is_a_boolean_in_json(value: object) -> None:
    assert (await refusal(json.dumps({"phone": "1", "shown": value})))[1] == "shown"
