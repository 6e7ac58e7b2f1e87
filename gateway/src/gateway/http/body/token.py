"""Finds the token of a session in a body that is not parsed, so that only the bodies of users are worth parsing."""

import re
from urllib.parse import unquote_plus

from gateway.http.body.media_types import FORM, JSON, MULTIPART

_PATTERNS = {
    JSON: rb'"%b"\s{0,16}:\s{0,16}"((?:[^"\\]|\\/){1,4096})"',
    FORM: rb"(?:\A|&)%b=([^&]{1,12288})(?:&|\Z)",
    MULTIPART: rb'name="?%b"?[^\r\n]{0,256}\r\n(?:[^\r\n]{1,256}\r\n){0,8}\r\n([^\r\n]{1,4096})\r\n',
}
"""Each looks at no character more than a few times, so the time is linear in the size of the body.

Of the escapes of JSON, only that of a slash is read, which some clients write in every text.
"""


def token_in(raw: bytes, media_type: str, name: str) -> str | None:
    """The value of the field ``name`` as JSON, forms and multipart forms usually write it, else None.

    It is not necessarily what the parsed body says: ask for that one again.
    """
    pattern = _PATTERNS.get(media_type)
    found = re.search(pattern % re.escape(name.encode()), raw) if pattern else None
    if found is None:
        return None
    text = found[1].decode(errors="replace")
    if media_type == JSON:
        return text.replace(r"\/", "/")
    return unquote_plus(text) if media_type == FORM else text
