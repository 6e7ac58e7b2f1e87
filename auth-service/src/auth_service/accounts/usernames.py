"""Login names: what makes two of them the same."""

import unicodedata


def name_key(name: str) -> str:
    """The name without case and without compatibility forms (``ERIC``, ``ｅｒｉｃ``): unique among accounts."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
