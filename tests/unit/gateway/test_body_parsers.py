"""The parsers of bodies: what would be costly is refused by a scan, and nothing else is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.body import json_text
from gateway.http.body.errors import BodyError, BodyFault
from gateway.http.body.json_text import MAX_CONTAINERS, MAX_DEPTH, parse_json
from gateway.http.body.media_types import FORM, JSON, MULTIPART
from gateway.http.body.multipart import boundary_of, parse_multipart
from gateway.http.body.token import token_in
from shared.errors import ErrorCode, ServiceError

TRICKY = st.text(st.sampled_from('[]{}"\\,:/ n字'), max_size=12)


@pytest.fixture
def unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing fails the test."""

    def loads(*_: Any, **__: Any) -> None:
        pytest.fail("the text was parsed")

    monkeypatch.setattr(json_text.json, "loads", loads)


@pytest.mark.usefixtures("unparsed")
@pytest.mark.parametrize(
    "text",
    [
        '{"x": [' + ",".join(["{}"] * 80_000) + "]}",
        '{"x": [' + ",".join(["[]"] * MAX_CONTAINERS) + "]}",
        '{"x": [' + ",".join(['"a", {"b": 1}'] * 20_000) + "]}",
        '{"x": "\\\\", "y": [' + ",".join(["{}"] * 20_000) + "]}",
        "[" * 250_000,
        '{"a":' * (MAX_DEPTH + 1),
        '{"phones": ["[[", ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "]}",
    ],
    ids=lambda text: text[:24],
)
def test_many_and_deep_arrays_and_objects_are_refused_before_they_are_parsed(text: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        parse_json(text)
    assert refusal.value.code is ErrorCode.PARAMETER_INVALID


@pytest.mark.parametrize(
    "entry", ["[1] 138{}", '"[', "\\[", '\\"[{', "[" * 100, "{}[]" * 30, "，[家] 13800138000", '\\\\"]}', ""]
)
def test_brackets_in_texts_do_not_count(entry: str) -> None:
    body = {"phones": [entry] * 2_000, entry: entry}
    assert parse_json(json.dumps(body)) == body
    assert parse_json(json.dumps(body, ensure_ascii=False)) == body


def test_a_list_may_have_some_arrays_and_objects_among_its_items() -> None:
    body = {"phones": [{}, [], {"a": []}, "13800138000"] * 100}
    assert parse_json(json.dumps(body)) == body


@given(st.recursive(TRICKY | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(TRICKY, inner)))
def test_the_scan_sees_the_structure_that_the_parser_sees(value: object) -> None:
    nested = {"a": [value] * 60}
    text = json.dumps(nested, ensure_ascii=False)
    if depth(nested) <= MAX_DEPTH and containers(nested) <= MAX_CONTAINERS:
        assert parse_json(text) == nested
    else:
        with pytest.raises(ServiceError):
            parse_json(text)


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def containers(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + sum(map(containers, inner))


def part(head: str, value: str = "1", line_end: str = "\r\n") -> str:
    return f"--X{line_end}{head}{line_end}{line_end}{value}{line_end}"


FIELD = 'Content-Disposition: form-data; name="a"'


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("preamble\r\n" + part(FIELD) + "--X--", [("a", "1")]),
        (part(FIELD) + "--X--\r\nepilogue --X", [("a", "1")]),
        (part(FIELD, "") + "--X--", [("a", "")]),
        (part(FIELD, "1--X") + "--X--", [("a", "1--X")]),
        (part(FIELD, "1\r\n\r\n--XY\r\n") + "--X--", [("a", "1\r\n\r\n--XY\r\n")]),
        (part("content-disposition:FORM-DATA;NAME=a") + "--X--", [("a", "1")]),
        (part('Content-Disposition: form-data; x="\\"; name=b"; name="a"') + "--X--", [("a", "1")]),
        (part('Content-Disposition: form-data; name="a \\"b\\""') + "--X--", [('a "b"', "1")]),
        (part(FIELD + "\r\nContent-Type: text/plain; charset=UTF-8") + "--X--", [("a", "1")]),
        ("--X  \r\n" + part(FIELD)[5:] + "--X-- \t\r\n", [("a", "1")]),
        (part(FIELD) + part(FIELD, "2") + "--X--", [("a", "1"), ("a", "2")]),
    ],
)
def test_a_multipart_form_is_read_as_clients_write_it(body: str, fields: list[tuple[str, str]]) -> None:
    assert parse_multipart(body.encode(), b"X", 10) == fields


@pytest.mark.parametrize(
    "body",
    [
        "",
        "--X",
        part(FIELD),
        part(FIELD) + "--X",
        part("Content-Type: text/plain") + "--X--",
        part("Content-Disposition: attachment; name=a") + "--X--",
        part("Content-Disposition: form-data") + "--X--",
        part(FIELD + "\r\nno header") + "--X--",
        part(f'{FIELD}; name="b"') + "--X--",
        part(f"{FIELD}; Name=b") + "--X--",
        part(FIELD + "\r\ncontent-disposition: form-data; name=b") + "--X--",
        part(FIELD + "\r\nContent-Transfer-Encoding: base64") + "--X--",
        part(FIELD + "\r\nContent-Type: application/json") + "--X--",
        part(FIELD + "\r\nA: b" * 20) + "--X--",
        part(f"{FIELD}; x={'y' * 2000}") + "--X--",
        "--X\r\n\r\n1\r\n--X--",
        part(FIELD, line_end="\n") + "--X--\n",
        part(FIELD + "\nContent-Type: text/plain") + "--X--",
        "--X\r\nvalue only\r\n--X--",
        part(FIELD) * 11 + "--X--",
    ],
)
def test_a_malformed_or_endless_multipart_form_is_refused(body: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        parse_multipart(body.encode(), b"X", 10)
    assert refusal.value.code is ErrorCode.PARAMETER_INVALID


@pytest.mark.parametrize("head", [f'{FIELD}; filename="a.txt"', f"{FIELD}; FileName*=UTF-8''a", f"{FIELD}; filename=a"])
def test_a_file_in_a_multipart_form_is_named_as_the_reason(head: str) -> None:
    with pytest.raises(BodyError) as refusal:
        parse_multipart((part(head) + "--X--").encode(), b"X", 10)
    assert refusal.value.fault is BodyFault.FILE


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=X", b"X"),
        ('multipart/form-data; charset=utf-8; boundary="a b\'c"', b"a b'c"),
        ("multipart/form-data;BOUNDARY=----WebKitFormBoundaryA", b"----WebKitFormBoundaryA"),
    ],
)
def test_the_boundary_is_read_as_clients_write_it(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "boundary", ["", "; boundary=", '; boundary=""', "; boundary=é", "; boundary=\udcff", f"; boundary={'x' * 71}"]
)
def test_a_form_without_a_valid_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(ServiceError):
        boundary_of(f"multipart/form-data{boundary}")


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ('{"source":"a","token":"ab-_9","phones":[]}', JSON),
        ('{ "phones": ["1", "2"],\r\n  "token" : "ab-_9" }', JSON),
        ("token=ab-_9&phones[]=1", FORM),
        ("phones[]=1&token=ab%2D_9", FORM),
        (part('Content-Disposition: form-data; name="token"', "ab-_9") + "--X--", MULTIPART),
        (part(FIELD) + part("Content-Disposition: form-data; name=token\r\nA: b", "ab-_9") + "--X--", MULTIPART),
    ],
)
def test_the_token_of_a_body_is_found_without_parsing_it(body: str, media_type: str) -> None:
    assert token_in(body.encode(), media_type, "token") == "ab-_9"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ('{"source": "token", "phones": ["tokens"]}', JSON),
        ('{"token": 12}', JSON),
        ('{"token": ""}', JSON),
        ("xtoken=1&token=", FORM),
        (part(FIELD, "token") + "--X--", MULTIPART),
        ('{"token": "a"}', "text/plain"),
        ('{"token": "' + "a" * 4097 + '"}', JSON),
        (r'{"token": "a\u002fb"}', JSON),
        (r'{"token": "a\"b"}', JSON),
    ],
)
def test_no_token_is_found_where_there_is_none(body: str, media_type: str) -> None:
    assert token_in(body.encode(), media_type, "token") is None


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ('{"token": "12|a+b/c=", "phones": []}', JSON),
        (r'{"token": "12|a+b\/c=", "phones": []}', JSON),
        ("token=12%7Ca%2Bb%2Fc%3D&phones[]=1", FORM),
        (part('Content-Disposition: form-data; name="token"', "12|a+b/c=") + "--X--", MULTIPART),
    ],
)
def test_a_token_of_another_system_is_found_as_clients_write_it(body: str, media_type: str) -> None:
    assert token_in(body.encode(), media_type, "token") == "12|a+b/c="


def test_text_of_a_client_is_no_pattern() -> None:
    """A boundary is text, although ``.`` and ``+`` mean something in a regular expression. So is a field's name."""
    part = 'Content-Disposition: form-data; name="a"\r\n\r\n'
    form = f"--a.+\r\n{part}1\r\n--abb\r\n2\r\n--a.+--\r\n"
    assert parse_multipart(form.encode(), b"a.+", 10) == [("a", "1\r\n--abb\r\n2")]
    assert token_in(b'{"token": "ab"}', "application/json", "t.ken") is None
