"""What production refuses as a secret: what is known, what is not random, and what two settings share."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, pairwise
from urllib.parse import parse_qs, unquote, urlsplit

from shared.keys import holds_development_secret

MIN_DISTINCT = 10
"""Distinct bytes of a key, and distinct steps from one byte to the next. 32 random bytes have about 30 of each."""

MIN_PASSWORD = 12
MIN_DISTINCT_CHARACTERS = 6
WELL_KNOWN = {
    "admin", "administrator", "app", "changeme", "default", "development", "example", "guest", "haoma",
    "letmein", "master", "passw", "password", "passwort", "postgres", "postgresql", "production", "qwerty",
    "rabbitmq", "redis", "root", "secret", "test", "testing", "user", "valkey", "welcome",
}  # fmt: skip
"""Passwords that are tried first, whatever digits and signs stand around them."""

_PART = re.compile(r"(?:[0-9]{1,3}:)?((?:[0-9a-fA-F]{2}){16,})")
_WITHOUT_PASSWORD = ("sslcert", "passfile", "ssl_certfile", "certfile")
"""Parameters of a URL that name another proof: a certificate of the client, or a file with passwords."""


def weaknesses(secrets: Mapping[str, str], urls: Mapping[str, str]) -> list[str]:
    """What is wrong with the secrets and the passwords in the URLs of servers: a line each, with the setting's name.

    No line contains a value.
    """
    parts = {name: list(_parts(text)) for name, text in secrets.items()}
    lines = [f"{name} {reason}" for name, text in secrets.items() if (reason := _weakness(text, parts[name]))]
    passwords = {name: _password(url) for name, url in urls.items()}
    lines += [f"{name} {reason}" for name, url in urls.items() if (reason := _password_weakness(url, passwords[name]))]
    used = parts | {name: [text.encode()] for name, text in passwords.items() if text}
    return lines + [
        f"{one} and {other} hold the same secret: generate one for each"
        for one, other in combinations(used, 2)
        if set(used[one]) & set(used[other])
    ]


def _parts(text: str) -> Iterator[bytes]:
    """Each key of a ring, or each token of a list: the bytes that hexadecimal digits stand for, else its text."""
    for part in filter(None, map(str.strip, text.split(","))):
        found = _PART.fullmatch(part)
        yield bytes.fromhex(found[1]) if found else part.encode()


def _weakness(text: str, parts: list[bytes]) -> str:
    if holds_development_secret(text):
        return "holds a secret of development in production"
    if any(map(_has_a_pattern, parts)):
        return "is not random: generate it with openssl rand -hex 32"
    return "holds the same key twice" if len(set(parts)) < len(parts) else ""


def _has_a_pattern(secret: bytes) -> bool:
    steps = {(after - before) % 256 for before, after in pairwise(secret)}
    return len(set(secret)) < MIN_DISTINCT or len(steps) < MIN_DISTINCT or _repeats(secret)


def _repeats(text: bytes | str) -> bool:
    """Whether a text is a shorter one, again and again."""
    return any(text == text[:length] * (len(text) // length) for length in _divisors(len(text)))


def _divisors(number: int) -> Iterable[int]:
    return (each for each in range(1, number // 2 + 1) if number % each == 0)


def _user_and_password(url: str) -> tuple[str, str]:
    userinfo, _, _ = urlsplit(url).netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    query = parse_qs(urlsplit(url).query)
    return query.get("user", [unquote(user)])[0], query.get("password", [unquote(password)])[0]


def _password(url: str) -> str:
    return _user_and_password(url)[1]


def _password_weakness(url: str, password: str) -> str:
    if not password:
        return "" if _needs_no_password(url) else "has no password"
    letters = re.sub("[^a-z]", "", password.casefold())
    if password == _user_and_password(url)[0] or letters in WELL_KNOWN:
        return "has a password that is well known: generate it with openssl rand -hex 16"
    if len(password) < MIN_PASSWORD or len(set(password)) < MIN_DISTINCT_CHARACTERS or _repeats(password):
        return "has a password that can be guessed: generate it with openssl rand -hex 16"
    return ""


def _needs_no_password(url: str) -> bool:
    """Whether the server knows its client otherwise: by the socket's owner, a certificate or a file with passwords."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    on_a_socket = parts.scheme == "unix" or query.get("host", [""])[0].startswith("/")
    return on_a_socket or any(name in query for name in _WITHOUT_PASSWORD)
