"""The secrets of a data folder: created once and stored beside the data that they protect."""

import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from stack.roles import catalogue

KEYS = ("SERVICE_TOKEN", "PHONE_KEY", "OPERATOR_TOKEN")
KEY_RINGS = ("TICKET_KEYS", "CODE_KEYS", "PASSWORD_PEPPERS", "SEALED_NUMBER_KEYS", "JWT_KEYS", "AUDIT_KEYS")
PASSWORDS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "AMQP_PASSWORD", *catalogue.password_variables())


def load_or_create(file: Path) -> dict[str, str]:
    """Read the secrets of a data folder, create those that are missing, and store all of them (mode 0600)."""
    stored = _read(file) if file.exists() else {}
    complete = {**_generate(), **stored}
    if complete != stored:
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in complete.items()))
    return complete


def for_services(stored: Mapping[str, str]) -> dict[str, str]:
    """The secrets that the services read; the passwords of the servers are part of their URLs."""
    return {name: stored[name] for name in (*KEYS, *KEY_RINGS)}


def _read(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in shlex.split(file.read_text()))


def _generate() -> dict[str, str]:
    rings = {name: f"1:{secrets.token_hex(32)}" for name in KEY_RINGS}
    return {name: secrets.token_hex(32) for name in KEYS} | rings | {n: secrets.token_hex(16) for n in PASSWORDS}
