"""The secrets of a data folder: created once and stored beside the data that they protect."""

import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from stack.roles import catalogue

SECRETS_OF = {
    "gateway": ("GATEWAY_TO_AUTH_TOKEN", "GATEWAY_TO_SMS_TOKEN", "GATEWAY_TO_CONTACTS_TOKEN", "SEALED_NUMBER_KEYS"),
    "auth-service": (
        "GATEWAY_TO_AUTH_TOKEN",
        "SMS_TO_AUTH_TOKEN",
        "CONTACTS_TO_AUTH_TOKEN",
        "PHONE_KEY",
        "TICKET_KEYS",
        "PASSWORD_PEPPERS",
        "JWT_KEYS",
        "AUDIT_KEYS",
    ),
    "sms-service": (
        "GATEWAY_TO_SMS_TOKEN",
        "SMS_TO_AUTH_TOKEN",
        "WORKER_TO_INBOX_TOKEN",
        "OPERATOR_TOKEN",
        "PHONE_KEY",
        "PHONE_SEAL_KEYS",
        "TICKET_KEYS",
        "CODE_KEYS",
    ),
    "sms-worker": ("WORKER_TO_INBOX_TOKEN", "PHONE_SEAL_KEYS", "CODE_KEYS", "AUDIT_KEYS"),
    "contacts-service": ("GATEWAY_TO_CONTACTS_TOKEN", "CONTACTS_TO_AUTH_TOKEN", "PHONE_KEY"),
}
"""The secrets that each process reads. It gets no other."""

SECRETS = tuple(dict.fromkeys(name for names in SECRETS_OF.values() for name in names))
RINGS = ("_KEYS", "_PEPPERS")
"""How the names of key rings end."""

PASSWORDS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "AMQP_PASSWORD", *catalogue.password_variables())


def load_or_create(file: Path) -> dict[str, str]:
    """Read the secrets of a data folder, create those that are missing, and store all of them (mode 0600)."""
    stored = _read(file) if file.exists() else {}
    complete = {**generate(), **stored}
    if complete != stored:
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in complete.items()))
    return complete


def for_services(stored: Mapping[str, str]) -> dict[str, str]:
    """The secrets that the services read; the passwords of the servers are part of their URLs."""
    return {name: stored[name] for name in SECRETS}


def without_others(environ: Mapping[str, str], process: str) -> dict[str, str]:
    """An environment without the secrets that a process does not read. A migration reads none."""
    own = SECRETS_OF.get(process, ())
    return {name: value for name, value in environ.items() if name not in SECRETS or name in own}


def _read(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in shlex.split(file.read_text()))


def generate() -> dict[str, str]:
    """A new value for each secret and password."""
    keys = {name: _generate_ring() if name.endswith(RINGS) else secrets.token_hex(32) for name in SECRETS}
    return keys | {name: secrets.token_hex(16) for name in PASSWORDS}


def _generate_ring() -> str:
    return f"1:{secrets.token_hex(32)}"
