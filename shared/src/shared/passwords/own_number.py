"""Whether a password is the number of its user. The gateway asks where it knows the number, auth-service elsewhere."""

import hashlib

from shared.errors import ServiceError
from shared.phone import E164, parse, split


def is_own_number(secret: str, plain: str | None, number: E164) -> bool:
    """Whether a password is this number: in any spelling if its plain text is known.

    Of a password that is known as an md5 only (``secret``), it is the most likely spellings.
    """
    if plain is not None and any(_is_number(text, number) for text in (plain, f"+{plain}")):
        return True
    spellings = (number, number[1:], f"00{number[1:]}", split(number)[1])
    return secret in {hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in spellings}


def _is_number(text: str, number: E164) -> bool:
    code, _ = split(number)
    try:
        return parse(text, calling_code=code, served={code}) == number
    except ServiceError:
        return False
