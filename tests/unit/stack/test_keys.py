"""The secrets of a local stack: strong enough for production, stored once, and each process has its own only."""

from pathlib import Path

import pytest
from stack import keys

from shared.process.environment.secret_strength import weaknesses


def test_what_is_generated_is_good_enough_for_production(tmp_path: Path) -> None:
    stored = keys.load_or_create(tmp_path / "secrets.env")
    urls = {name: f"redis://user:{stored[name]}@host" for name in keys.PASSWORDS}
    assert weaknesses(keys.for_services(stored), urls) == []


def test_secrets_are_created_once_for_the_owner_alone_and_new_ones_are_added(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    stored = keys.load_or_create(file)
    assert keys.load_or_create(file) == stored
    assert file.stat().st_mode & 0o777 == 0o600

    file.write_text("\n".join(line for line in file.read_text().splitlines() if "PHONE_SEAL_KEYS" not in line))
    completed = keys.load_or_create(file)

    assert completed.keys() == stored.keys()
    assert {name for name, value in completed.items() if stored[name] != value} == {"PHONE_SEAL_KEYS"}


@pytest.mark.parametrize("program", keys.SECRETS_OF)
def test_a_process_gets_its_own_secrets_and_everything_else(program: str) -> None:
    environ = {**dict.fromkeys(keys.SECRETS, "secret"), "LOG_LEVEL": "info"}
    assert keys.without_others(environ, program).keys() == {*keys.SECRETS_OF[program], "LOG_LEVEL"}
