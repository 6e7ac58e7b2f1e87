"""Text as a reader sees it: how many characters it has, and whether there is anything to be seen."""

import unicodedata

_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER = "\u200c", "\u200d"
_MARKS = frozenset({"Mn", "Mc", "Me"})
_EMOJI = frozenset({"So", "Cn"})
"""Symbols, and emoji that are younger than Python's tables."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Mn", "Me", "Zl", "Zp", "Zs"})
"""Controls, formats, separators, and marks, which need a letter to stand on."""
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0\ufffc\U00013441\U00013442\U0001d159")
"""Letters and symbols without ink: Hangul fillers, the blank of Braille, what stands for a picture that was pasted,
blanks of hieroglyphs, a note without head."""
_NONCHARACTERS = range(0xFDD0, 0xFDF0)
"""Code points that will never be characters, as are the last two of each plane."""
_IGNORABLE = range(0xE0000, 0xE1000)
"""Tags and variation selectors, with room for more of them: Unicode reserves all of it for what is not shown."""
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_SKIN_TONES = range(0x1F3FB, 0x1F400)


def is_visible(text: str) -> bool:
    """Whether a reader sees anything of a text."""
    return any(map(_has_ink, text))


def _has_ink(char: str) -> bool:
    if unicodedata.category(char) in _UNSEEN or char in _BLANK_LETTERS:
        return False
    code = ord(char)
    return code not in _IGNORABLE and code not in _NONCHARACTERS and code & 0xFFFE != 0xFFFE


def count_characters(text: str) -> int:
    """Count the characters that a reader sees: grapheme clusters (UAX #29), as far as names contain them.

    A letter with its marks, a flag, and emoji that are joined or have a skin tone are one character each.
    """
    count, before, half_a_flag = 0, "", False
    for char in unicodedata.normalize("NFC", text):
        is_flag_letter = ord(char) in _FLAG_LETTERS
        if not before or not (_continues(before, char) or (is_flag_letter and half_a_flag)):
            count += 1
        before, half_a_flag = char, is_flag_letter and not half_a_flag
    return count


def _continues(before: str, char: str) -> bool:
    """Whether this character is part of the same cluster as the one before it."""
    category = unicodedata.category(char)
    if category in _MARKS or char in {_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER}:
        return True
    if ord(char) in _SKIN_TONES or ord(char) in _IGNORABLE:
        return True
    return before == _ZERO_WIDTH_JOINER and category in _EMOJI
