"""Usernames: when two spellings are the same name."""

import re
import unicodedata

_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What shows nothing: ``Default_Ignorable_Code_Point`` of Unicode, marks of annotations, and the blank of Braille."""


def name_key(name: str) -> str:
    """The name as people tell it from others: ``ERIC``, ``ｅｒｉｃ`` and ``eric `` have one key. It is unique.

    Case, compatibility forms and invisible characters make no difference (``NFKC_Casefold`` of the Unicode Standard),
    and neither do blanks in front and behind.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", _IGNORABLE.sub("", folded)).strip()
