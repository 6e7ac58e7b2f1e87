"""Which tokens of another system can be guessed: too short, or of too few characters.

A call with a token is not limited by where it comes from, because phones share addresses. So a token has to be hard
to guess by itself. With ``MIN_BITS`` and a million sessions, a guess hits one after 2^59 tries on average, which at
100,000 a second takes 180,000 years. OWASP asks for 64 bits in a session id.
"""

import math
import re

from auth_service.sessions.token_digests import secret_part

MIN_LENGTH = 20
MIN_BITS = 80
MIN_DISTINCT = 6
"""A random token of 25 decimal digits has fewer different ones once in 100,000, of 20 hex digits once in 3,000,000."""
_DASHED_DIGITS = re.compile("[0-9a-f-]+|[0-9A-F-]+")
_ALPHABETS = (
    (re.compile("[0-9]+"), 10),
    (re.compile("[0-9a-f]+|[0-9A-F]+"), 16),
    (re.compile("[0-9a-z]+|[0-9A-Z]+"), 36),
    (re.compile("[0-9A-Za-z]+"), 62),
)
OTHER_CHARACTERS = 64


def is_guessable(token: str) -> bool:
    """Whether a token is too weak to be one. Dashes between digits, as in a UUID, and the id of a row do not count.

    That a token looks random does not prove that it is.
    """
    secret = secret_part(token)
    if _DASHED_DIGITS.fullmatch(secret):
        secret = secret.replace("-", "")
    size = next((size for alphabet, size in _ALPHABETS if alphabet.fullmatch(secret)), OTHER_CHARACTERS)
    bits = len(secret) * math.log2(size)
    return len(secret) < MIN_LENGTH or bits < MIN_BITS or len(set(secret)) < MIN_DISTINCT
