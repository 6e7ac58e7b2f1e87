"""The rules for the texts of a profile: one line each, of limited length, without marks that reorder text."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from gateway.characters import count_characters, is_visible

MAX_NICKNAME = 32
MAX_MOTTO = 200
CODE_POINTS = 8
"""The code points of a character on average, at most: a family of emoji has seven."""

# Emoji contain invisible joiners, so only control characters, line ends and marks that reorder text are refused.
_LINE = r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"


def visible(text: str) -> str:
    """Refuse a name of which a reader sees nothing."""
    if not is_visible(text):
        raise ValueError("nothing to be seen")
    return text


def _at_most(limit: int) -> AfterValidator:
    def check(text: str) -> str:
        if count_characters(text) > limit:
            raise ValueError("too long")
        return text

    return AfterValidator(check)


Nickname = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=MAX_NICKNAME * CODE_POINTS, pattern=f"^{_LINE}*$"
    ),
    AfterValidator(visible),
    _at_most(MAX_NICKNAME),
]
Motto = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=MAX_MOTTO * CODE_POINTS, pattern=f"^{_LINE}*$"),
    _at_most(MAX_MOTTO),
]
Picture = Annotated[str, StringConstraints(pattern=r"^(https://[!-~]{1,500})?$")]
"""The address of a picture, or empty."""
