"""Reads a stored recipe that comes from outside: from the file of another Haoma. Nothing in it is trusted.

Each recipe is spelled as a digest of its format, and the reader of that format decides. So the bounds of a recipe are
those of an import, and there is one place for them.
"""

from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable

from auth_service.digests.costs import MALFORMED, MAX_SIZE
from auth_service.digests.formats import read_digest
from auth_service.digests.layouts import SIZES, UNKNOWN_LAYOUT
from auth_service.digests.model import DigestRefusedError, Recipe
from auth_service.digests.recipes import SEPARATOR
from auth_service.digests.spelling import SpelledDigest, base64_bytes

MAX_LENGTH = 4_096
BCRYPT_VALUE = "." * 31
MAX_DIGITS = len(str(MAX_SIZE))
"""Of the size of a digest: a longer one is cut, and then is not the same text."""

Spell = Callable[[list[str], str, bytes], SpelledDigest]


def read_recipe(text: str) -> Recipe:
    """The recipe. Raises ``DigestRefusedError`` for a text that no import would have stored."""
    name, *parameters = text.split(SEPARATOR) if len(text) <= MAX_LENGTH else [""]
    spell = SPELLINGS.get(name)
    if spell is None:
        raise DigestRefusedError(UNKNOWN_LAYOUT)
    try:
        *parameters, of, salt = parameters
        spelled = spell(parameters, of, urlsafe_b64decode(salt))
    except (ValueError, LookupError):
        raise DigestRefusedError(MALFORMED) from None
    recipe = read_digest(spelled).recipe
    if recipe.text != text:
        raise DigestRefusedError(MALFORMED)
    return recipe


def _layout(parameters: list[str], of: str, salt: bytes) -> SpelledDigest:
    () = parameters
    return SpelledDigest(of, _zeros(SIZES[of.partition("(")[0]]), salt)


def _bcrypt(parameters: list[str], of: str, salt: bytes) -> SpelledDigest:
    (cost,) = parameters
    return SpelledDigest("bcrypt", f"$2b${cost}${salt.decode()}{BCRYPT_VALUE}", of=of)


def _sized(name: str) -> Spell:
    def spell(parameters: list[str], of: str, salt: bytes) -> SpelledDigest:
        *costs, size = parameters
        return SpelledDigest(":".join((name, *costs)), _zeros(int(size[:MAX_DIGITS])), salt, of)

    return spell


def _firebase(parameters: list[str], of: str, salt: bytes) -> SpelledDigest:
    memory_cost, rounds, separator, key = parameters
    digest = _text_of(bytes(len(base64_bytes(key))))
    costs = f"v=1,n={memory_cost},r={rounds},p=1,ss={separator},sk={key}"
    return SpelledDigest("firebase", f"$fbscrypt${costs}${_text_of(salt)}${digest}", of=of)


def _argon2(parameters: list[str], of: str, salt: bytes) -> SpelledDigest:
    kind, version, memory, passes, lanes, size = parameters
    costs, digest = f"v={version}$m={memory},t={passes},p={lanes}", _text_of(bytes(int(size[:MAX_DIGITS])))
    return SpelledDigest("argon2", f"$argon2{kind}${costs}${_text_of(salt)}${digest}", of=of)


def _zeros(size: int) -> str:
    return "00" * size


def _text_of(raw: bytes) -> str:
    return b64encode(raw).rstrip(b"=").decode()


SPELLINGS: dict[str, Spell] = {
    "layout": _layout,
    "bcrypt": _bcrypt,
    "pbkdf2": _sized("pbkdf2"),
    "scrypt": _sized("scrypt"),
    "firebase": _firebase,
    "argon2": _argon2,
}
