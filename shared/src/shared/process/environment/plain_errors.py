"""Pydantic's errors in plain words, for settings and settings files. No text repeats a value."""

import re
from difflib import get_close_matches
from typing import Any

_WORDS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "enum": "is none of {expected}",
    "literal_error": "is none of {expected}",
    "union_tag_invalid": "is none of {expected_tags}",
    "union_tag_not_found": "has no type",
    "extra_forbidden": "is no key of this table",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text in quotes",
    "string_pattern_mismatch": "must match {pattern}",
}
_CHOICES = re.compile(r"\^\(([a-z|]+)\)\$")


def plain_text(error: Any) -> str:
    """One entry of ``ValidationError.errors()``, with its context, in plain words."""
    kind, context = error["type"], error.get("ctx", {})
    choices = _CHOICES.fullmatch(str(context.get("pattern", "")))
    if choices:
        return f"is none of {choices[1].replace('|', ', ')}"
    words = {name: _listed(value) for name, value in context.items()}
    text = _WORDS[kind].format(**words) if kind in _WORDS else str(error["msg"]).removeprefix("Value error, ")
    if kind == "union_tag_invalid":
        text += did_you_mean(str(context["tag"]), words["expected_tags"].split(", "))
    return text


def did_you_mean(word: str, known: list[str]) -> str:
    """A question that names the known word that is most like this one; empty if none is."""
    close = get_close_matches(word, known, n=1)
    return f": did you mean {close[0]}?" if close else ""


def _listed(value: object) -> str:
    """A list of pydantic's, such as ``'a', 'b' or 'c'``, with commas alone."""
    return str(value).replace("' or '", "', '").replace("'", "") if isinstance(value, str) else str(value)
