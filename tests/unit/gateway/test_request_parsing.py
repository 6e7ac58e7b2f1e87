"""A body is parsed strictly: one value for each name, and no ambiguous JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.request_parsing import parse_json
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
