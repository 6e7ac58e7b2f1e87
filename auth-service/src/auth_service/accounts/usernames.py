"""Usernames: when two spellings are the same name."""

import unicodedata


def name_key(name: str) -> str:
    """The name without case and compatibility forms (``ERIC`` and ``ｅｒｉｃ`` have one key). It is unique."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
