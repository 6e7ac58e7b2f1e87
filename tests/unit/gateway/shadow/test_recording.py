"""The format of recorded calls: what is read, and what is refused with which reason."""

import base64
import io
import json

import pytest

from gateway.shadow.recorded.recording import MAX_LINE_BYTES, BrokenLineError, read_call, read_lines

CALL = {"method": "GET", "path": "/v2/me", "response": {"status": 200}}


def line(**changes: object) -> bytes:
    return json.dumps({**CALL, **changes}).encode()


def test_a_body_is_a_text_or_base64() -> None:
    in_base64 = base64.b64encode(b"\xff\x00").decode()
    call = read_call(line(body="号", response={"status": 200, "body_base64": in_base64}))
    assert (call.content, call.response.content) == ("号".encode(), b"\xff\x00")


def test_names_of_headers_are_read_in_lower_case() -> None:
    assert read_call(line(headers={"Content-TYPE": "a/B"})).headers == {"content-type": "a/B"}


@pytest.mark.parametrize(
    "time", [1_796_025_600, 1_796_025_600.0, "1796025600", 1_796_025_600_000, "2026-11-30T08:00:00+00:00"]
)
def test_a_time_is_in_seconds_in_milliseconds_or_iso_8601(time: object) -> None:
    assert read_call(line(time=time)).time == 1_796_025_600


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "json_broken"),
        (b"\xff", "not_utf8"),
        (b"{" + b" " * MAX_LINE_BYTES, "too_long"),
        (b"[]", "field_invalid"),
        (line(method="get"), "field_invalid method"),
        (line(path="v2"), "field_invalid path"),
        (line(path="/a b"), "field_invalid path"),
        (line(time="noon"), "field_invalid time"),
        (line(response={"status": "200"}), "field_invalid response.status"),
        (line(response={"status": 200, "body_base64": "%"}), "field_invalid response"),
        (line(body="a", body_base64="YQ=="), "field_invalid"),
        (line(secret13800138000="x"), "field_unknown"),
        (b'{"method": "GET", "path": "/v2/me"}', "field_invalid response"),
    ],
)
def test_a_broken_line_has_a_reason_that_quotes_nothing(content: bytes, reason: str) -> None:
    with pytest.raises(BrokenLineError) as refusal:
        read_call(content)
    assert refusal.value.reason == reason


def test_lines_have_numbers_and_offsets_and_a_long_one_does_not_hide_the_next() -> None:
    long = b"x" * (3 * MAX_LINE_BYTES)
    content = b"a\n\n" + long + b"\nb"
    lines = list(read_lines(io.BytesIO(content)))
    assert [(each.number, each.end) for each in lines] == [(1, 2), (3, len(content) - 1), (4, len(content))]
    assert [len(each.content) for each in lines] == [2, MAX_LINE_BYTES + 1, 1]
    rest = io.BytesIO(content)
    rest.seek(lines[1].end)
    assert [each.number for each in read_lines(rest, lines[1].number, lines[1].end)] == [4]
