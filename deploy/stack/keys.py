"""The secrets of a data folder: made once, kept beside the data they protect."""

import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

KEYS = ("SERVICE_TOKEN", "PHONE_KEY", "OPERATOR_TOKEN")
KEY_RINGS = ("TICKET_KEYS", "CODE_KEYS", "PASSWORD_PEPPERS", "SEALED_NUMBER_KEYS", "JWT_KEYS")
PASSWORDS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "AMQP_PASSWORD")


def keep(file: Path) -> dict[str, str]:
    """Read the secrets of a data folder; those not there yet are made and written (mode 0600)."""
    kept = _read(file) if file.exists() else {}
    whole = {**_fresh(), **kept}
    if whole != kept:
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in whole.items()))
    return whole


def ours(kept: Mapping[str, str]) -> dict[str, str]:
    """Those of the secrets that our processes are given."""
    return {name: kept[name] for name in (*KEYS, *KEY_RINGS)}


def _read(file: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in shlex.split(file.read_text()))


def _fresh() -> dict[str, str]:
    rings = {name: f"1:{secrets.token_hex(32)}" for name in KEY_RINGS}
    return {name: secrets.token_hex(32) for name in KEYS} | rings | {n: secrets.token_hex(16) for n in PASSWORDS}
