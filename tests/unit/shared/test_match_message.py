"""The list of a match crosses as it is, and everything around it is checked."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from shared.internal_api.contacts import Match

FIELDS: dict[str, Any] = {"user_id": 7, "own_phone": "+8613800138000"}


def test_a_match_is_read_as_it_was_written() -> None:
    match = Match(**FIELDS, phones=["138 0013 8000", "", None, 1.5, ["13800138000"], {"phone": "+86"}])

    assert Match.from_json(match.to_json()) == match


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        orjson.dumps(FIELDS),
        orjson.dumps(FIELDS | {"phones": None}),
        orjson.dumps(FIELDS | {"phones": "13800138000"}),
        orjson.dumps(FIELDS | {"phones": {}}),
        orjson.dumps(FIELDS | {"phones": [], "other": 1}),
        orjson.dumps(FIELDS | {"phones": [], "own_phone": "13800138000"}),
        orjson.dumps(FIELDS | {"phones": [], "user_id": "x"}),
        orjson.dumps({"phones": []}),
    ],
)
def test_anything_else_is_refused_without_being_quoted(body: bytes) -> None:
    with pytest.raises(ValidationError) as refusal:
        Match.from_json(body)

    assert "138" not in str(refusal.value)
