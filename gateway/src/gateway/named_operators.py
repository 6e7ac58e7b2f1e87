"""Named operators and their roles, from ``OPERATORS_FILE``. Only the digests of their keys are stored."""

import hashlib
import hmac
import re
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

PREFIX = "haoma_op_"
"""How every key begins, so that people and secret scanners recognise one."""
KEY_BYTES = 32
NAME = re.compile(r"[a-z][a-z0-9.-]{0,31}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_CREDENTIALS = re.compile(rf"Bearer ({KEY.pattern})", re.IGNORECASE)


class Role(StrEnum):
    """What an operator may do. ``OPERATOR`` may do everything; ``SUPPORT`` looks, and sees masks of numbers."""

    SUPPORT = "support"
    OPERATOR = "operator"


@dataclass(frozen=True)
class NamedOperator:
    """A person or a tool, with the SHA-256 of their key."""

    name: str
    role: Role
    digest: bytes = field(repr=False)

    @property
    def sees_numbers(self) -> bool:
        """Whether responses to them have clear numbers."""
        return self.role is Role.OPERATOR

    def may_make(self, least_role: Role) -> bool:
        """Whether they may make a call that takes this role."""
        return self.role is Role.OPERATOR or least_role is Role.SUPPORT


def parse_operators(text: str) -> tuple[NamedOperator, ...]:
    """Parse the file: a table for each operator, with ``role`` and ``key_sha256``.

    Raises ``ValueError``, which names the table and quotes no value: the file may hold a key by mistake.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"this is no TOML: {error}") from None
    operators = tuple(_operator(name, table) for name, table in tables.items())
    if not operators:
        raise ValueError("it names no operator: add the entry that python -m gateway operator-key prints")
    if len({each.digest for each in operators}) != len(operators):
        raise ValueError("two operators have the same key: make one for each")
    return operators


def _operator(name: str, table: object) -> NamedOperator:
    if not NAME.fullmatch(name):
        raise ValueError("a name has 1 to 32 lower-case letters, digits, dots and dashes, and begins with a letter")
    if not isinstance(table, dict) or table.keys() != {"role", "key_sha256"}:
        raise ValueError(f"{name}: expected a table with role and key_sha256")
    if table["role"] not in tuple(Role):
        raise ValueError(f"{name}: role is none of {', '.join(Role)}")
    digest = str(table["key_sha256"])
    if PREFIX in digest:
        raise ValueError(f"{name}: this is the key, not its digest: replace it if others could read it")
    if not _DIGEST.fullmatch(digest) or len(set(bytes.fromhex(digest))) < KEY_BYTES // 4:
        raise ValueError(f"{name}: key_sha256 is no digest of a key: make one with python -m gateway operator-key")
    return NamedOperator(name, Role(table["role"]), bytes.fromhex(digest))


def generate(name: str, role: Role) -> tuple[str, str]:
    """A new key of 256 random bits, and the entry of the file that accepts it. Raises ``ValueError`` for the name."""
    key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
    entry = f'[{name}]\nrole = "{role}"\nkey_sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
    if not NAME.fullmatch(name):
        raise ValueError("a name has 1 to 32 lower-case letters, digits, dots and dashes, and begins with a letter")
    return key, entry if "." not in name else entry.replace(f"[{name}]", f'["{name}"]')


class NamedOperators:
    """Recognises operators by their keys."""

    def __init__(self, operators: Sequence[NamedOperator]) -> None:
        self._operators = operators

    def operator_of(self, authorization: str) -> NamedOperator | None:
        """The operator of an ``Authorization`` header; None if its key is unknown.

        The time depends neither on which key it is, nor on how much of one is right.
        """
        credentials = _CREDENTIALS.fullmatch(authorization)
        digest, found = hashlib.sha256((credentials[1] if credentials else "").encode()).digest(), None
        for operator in self._operators:
            if hmac.compare_digest(operator.digest, digest):
                found = operator
        return found
