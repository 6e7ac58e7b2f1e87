"""The locale of a phone as a parameter."""

from typing import Annotated, Any

from pydantic import BeforeValidator


def _locale(value: Any) -> Any:
    """Whatever a phone sends for its language is no reason to refuse: a list is read in its order of preference."""
    if isinstance(value, list):
        return ",".join(each for each in value if isinstance(each, str))
    return value if isinstance(value, str) else None


Locale = Annotated[str | None, BeforeValidator(_locale)]
"""A language in any of the ways in which phones name it; ``shared.languages`` reads it."""
