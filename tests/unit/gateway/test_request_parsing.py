"""What a client sends is read strictly: one value per name, and no trick of JSON gets through."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.request_parsing import parse_json
from shared.errors import ErrorCode, ServiceError

TRICKS = {
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


@pytest.mark.parametrize("text", TRICKS.values(), ids=TRICKS)
def test_tricks_are_bad_parameters(text: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        parse_json(text)
    assert refusal.value.code is ErrorCode.PARAMETER_INVALID


def test_pairs_of_surrogates_and_thirty_two_levels_are_fine() -> None:
    assert parse_json('{"a": "\\ud83d\\ude00"}') == {"a": "😀"}
    parse_json('{"a":' + "[" * 31 + "]" * 31 + "}")


@given(st.dictionaries(st.text(), st.recursive(st.integers() | st.text() | st.booleans() | st.none(), st.lists)))
def test_plain_json_is_read_as_json(value: dict[str, object]) -> None:
    assert parse_json(json.dumps(value)) == value


@given(st.text(max_size=200))
def test_any_text_is_an_object_or_a_refusal(text: str) -> None:
    try:
        assert isinstance(parse_json(text), dict)
    except ServiceError as refusal:
        assert refusal.code is ErrorCode.PARAMETER_INVALID
