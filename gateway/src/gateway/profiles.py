"""The rules for the texts of a profile: one line each, of limited length, without marks that reorder text."""

from typing import Annotated

from pydantic import StringConstraints

# Emoji contain invisible joiners, so only control characters, line ends and marks that reorder text are refused.
_LINE = r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
Nickname = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=32, pattern=f"^{_LINE}*$")]
Motto = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=f"^{_LINE}*$")]
Picture = Annotated[str, StringConstraints(pattern=r"^(https://[!-~]{1,500})?$")]
"""The address of a picture, or empty."""
