"""A body is parsed strictly: one value for each name, no ambiguous JSON, and fields only."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.body.errors import BodyError, BodyFault
from gateway.http.body.json_text import parse_json
from gateway.http.body.media_types import FORM
from gateway.http.request_body import SMALL_BODY_BYTES, Admit, parse_form, read_fields
from shared.errors import ErrorCode, ServiceError

INVALID = {
    "a repeated name": '{"a": 1, "a": 2}',
    "a repeated name inside": '{"a": {"b": 1, "b": 2}}',
    "not a number": '{"a": NaN}',
    "infinity": '{"a": -Infinity}',
    "a lone surrogate": '{"a": "\\ud800"}',
    "a lone surrogate as a name": '{"\\udfff": 1}',
    "too deep": "[" * 33 + "]" * 33,
    "far too deep": "[" * 100_000,
    "deep objects": '{"a":' * 40 + "1" + "}" * 40,
    "a huge integer": '{"a": ' + "9" * 5000 + "}",
    "an array": "[]",
    "a text": '"text"',
    "null": "null",
    "nothing": "",
    "half": '{"a": ',
    "trailing text": "{} {}",
    "a comment": "{} // x",
    "a control character": '{"a": "\x00"}',
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_invalid_or_ambiguous_json_is_refused(text: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        parse_json(text)
    assert refusal.value.code is ErrorCode.PARAMETER_INVALID


def test_pairs_of_surrogates_and_32_levels_are_accepted() -> None:
    assert parse_json('{"a": "\\ud83d\\ude00"}') == {"a": "😀"}
    parse_json('{"a":' + "[" * 31 + "]" * 31 + "}")


@given(st.dictionaries(st.text(), st.recursive(st.integers() | st.text() | st.booleans() | st.none(), st.lists)))
def test_valid_json_is_parsed_to_its_value(value: dict[str, object]) -> None:
    assert parse_json(json.dumps(value)) == value


@given(st.text(max_size=200))
def test_every_text_is_either_an_object_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_json(text), dict)
    except ServiceError as refusal:
        assert refusal.code is ErrorCode.PARAMETER_INVALID


@pytest.mark.parametrize(
    "text", ["a[]=1&a[]=2", "a=1&a=2", "a[0]=1&a[1]=2", "a%5B%5D=1&a=2", "a[9]=1&a[3]=2"], ids=lambda text: text
)
def test_a_list_in_a_form_keeps_the_order_of_its_items(text: str) -> None:
    assert parse_form(f"b=x&{text}", {"a"}) == {"a": ["1", "2"], "b": "x"}


@pytest.mark.parametrize("text", ["b=1&b=2", "b[]=1&b[]=2", "a[x]=1&a[x]=2", "&".join(["a=1"] * 10_001)])
def test_other_repeated_names_and_endless_lists_are_refused(text: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        parse_form(text, {"a"})
    assert refusal.value.code is ErrorCode.PARAMETER_INVALID


async def read(body: bytes, content_type: str = "multipart/form-data; boundary=X", **headers: str) -> dict[str, Any]:
    content = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16)
    content.feed_data(body)
    content.feed_eof()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = make_mocked_request("POST", "/", headers={"Content-Type": content_type, **named}, payload=content)
    return await read_fields(request, 2**16, ())


async def read_large(size: int, admit: Admit) -> dict[str, Any]:
    content = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**18)
    content.feed_data(b'{"a": "' + b"x" * (size - 9) + b'"}')
    content.feed_eof()
    request = make_mocked_request("POST", "/", headers={"Content-Type": "application/json"}, payload=content)
    return await read_fields(request, 2**18, (), admit)


async def test_a_large_body_is_parsed_only_if_it_is_admitted() -> None:
    seen: list[int] = []

    async def refuse(body: bytes) -> None:
        seen.append(len(body))
        raise ServiceError(ErrorCode.UNAUTHENTICATED)

    assert len(await read_large(SMALL_BODY_BYTES, refuse)) == 1
    with pytest.raises(ServiceError) as refusal:
        await read_large(SMALL_BODY_BYTES + 1, refuse)

    assert refusal.value.code is ErrorCode.UNAUTHENTICATED
    assert seen == [SMALL_BODY_BYTES + 1]


@pytest.mark.parametrize(("items", "size"), [(1_100, 2), (2_000, 8)])
async def test_a_small_form_has_few_fields(items: int, size: int) -> None:
    with pytest.raises(ServiceError):
        parse_form("&".join(["a" * size] * items), {"b"})


def test_a_form_may_list_two_thousand_numbers() -> None:
    assert len(parse_form("&".join(["a[]=13800138000"] * 2_001), {"a"})["a"]) == 2_001


def part(head: str, value: bytes = b"1") -> bytes:
    return f"--X\r\n{head}\r\n\r\n".encode() + value + b"\r\n"


FIELD = 'Content-Disposition: form-data; name="a"'


async def test_the_fields_of_a_multipart_form_are_read() -> None:
    second = part(FIELD.replace('"a"', '"b"') + "\r\nContent-Type: text/plain", "张\r\n--Y".encode())
    assert await read(part(FIELD) + second + b"--X--\r\n") == {"a": "1", "b": "张\r\n--Y"}


@pytest.mark.parametrize(
    "label",
    [
        "text/plain; charset=UTF-8",
        "application/octet-stream",
        "multipart/form-data",
        "multipart/form-data; charset=utf-8",
        "Multipart/Form-Data; boundary=other",
    ],
)
async def test_a_field_may_have_any_of_the_labels_that_clients_give_it(label: str) -> None:
    first = f"content-disposition: form-data; name=a\r\ncontent-type: {label}"
    second = f"Content-Type: {label}\r\nContent-Disposition: form-data; name=b\r\nContent-Length: 1"
    assert await read(part(first) + part(second) + b"--X--\r\n") == {"a": "1", "b": "1"}


@pytest.mark.parametrize("label", ["application/json", "image/png", "multipart/mixed; boundary=Y", "text/html"])
async def test_a_part_that_is_no_plain_text_is_refused(label: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        await read(part(f"{FIELD}\r\nContent-Type: {label}") + b"--X--\r\n")
    assert refusal.value.code is ErrorCode.PARAMETER_INVALID


@pytest.mark.parametrize(
    "charset", ["utf-8", "UTF8", "utf_8", "'utf-8'", '"utf-8"', "", "iso-8859-1", "US-ASCII", "GBK", "windows-1252"]
)
@pytest.mark.parametrize(("media_type", "body"), [("application/json", b'{"a":"1"}'), (FORM, b"a=%31")])
async def test_a_body_of_ascii_text_may_name_any_character_set_that_is_like_ascii(
    charset: str, media_type: str, body: bytes
) -> None:
    assert await read(body, f"{media_type}; charset={charset}") == {"a": "1"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json; charset=utf-16", b'{"a":"1"}'),
        ("application/json; charset=x-unknown", b'{"a":"1"}'),
        ("application/json; charset=gbk", '{"a":"张"}'.encode("gbk")),
        ("application/json; charset=gbk", '{"a":"张"}'.encode()),
        (f"{FORM}; charset=gbk", b"a=%D5%C5"),
        (f"{FORM}; charset=iso-8859-1", b"a=caf%e9"),
    ],
)
async def test_another_character_set_is_refused_with_its_reason(content_type: str, body: bytes) -> None:
    with pytest.raises(BodyError) as refusal:
        await read(body, content_type)
    assert refusal.value.fault is BodyFault.CHARSET


@pytest.mark.parametrize(("encoding", "is_read"), [("identity", True), ("", True), ("gzip", False), ("br", False)])
async def test_a_compressed_body_is_refused_with_its_reason(encoding: str, is_read: bool) -> None:
    if is_read:
        assert await read(b'{"a":"1"}', "application/json", Content_Encoding=encoding) == {"a": "1"}
        return
    with pytest.raises(BodyError) as refusal:
        await read(b'{"a":"1"}', "application/json", Content_Encoding=encoding)
    assert refusal.value.fault is BodyFault.COMPRESSED


async def test_an_empty_multipart_form_has_no_fields() -> None:
    assert await read(b"--X--\r\n") == {}


@pytest.mark.parametrize("name", ['filename="a.txt"', 'filename=""', "filename*=UTF-8''a.txt"])
async def test_a_file_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(BodyError) as refusal:
        await read(part(f"{FIELD}; {name}") + b"--X--\r\n")
    assert refusal.value.fault is BodyFault.FILE


@given(
    st.lists(st.sampled_from([part(FIELD), part(FIELD.upper()), b"--X--", b"--X", b"\r\n", b"\0", b"\xff", b"--X\r\n"]))
    | st.lists(st.binary(max_size=50))
)
async def test_every_multipart_body_is_either_fields_or_refused(pieces: list[bytes]) -> None:
    try:
        assert isinstance(await read(b"".join(pieces)), dict)
    except ServiceError as refusal:
        assert refusal.code is ErrorCode.PARAMETER_INVALID
