"""The walks that the documents print, run as they are written: with curl, the shell, and the inbox's JSON."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from stack.system import Stack
from support.database import Tables

ROOT = Path(__file__).parents[2]
FIRST, FRIEND = "13800138000", "13900139000"


@pytest.fixture
def terminal(system: Stack, tmp_path: Path) -> Path:
    """The folder of a reader beside ``make run``."""
    (tmp_path / ".local").mkdir()
    env = "".join(f"{name}='{value}'\n" for name, value in system.addresses.items())
    (tmp_path / ".local" / "stack.env").write_text(env)
    return tmp_path


def test_a_reader_of_the_readme_registers_logs_in_and_matches_contacts_twice_in_a_row(terminal: Path) -> None:
    steps = walk(ROOT / "README.md")

    outputs = [run_script("".join(steps), terminal).splitlines() for _ in range(2)]

    for lines in outputs:
        sent, registered, account, matched = map(json.loads, lines)
        assert sent["resend_after"] == 60
        assert registered["account"]["nickname"] == "Ada"
        assert account == registered["account"]
        assert matched["budget_left"] > 0
    assert len({json.loads(lines[1])["account"]["phone"] for lines in outputs}) == 2


async def test_a_reader_of_maitian_registers_logs_in_resets_and_finds_a_friend(terminal: Path, tables: Tables) -> None:
    before, after = "".join(walk(ROOT / "docs" / "contracts" / "maitian.md")).split("sleep 60\n")

    registered = run_script(before, terminal)
    await tables.age(FIRST, 61)
    reset = run_script(functions(before) + after, terminal)

    assert '"success":"true"' in registered
    assert f'"phone":"{FIRST}"' in registered
    assert '"user_id":"' in registered
    assert '{"verify_code":""}' in reset
    assert f'"phone":"{FRIEND}"' in reset
    assert '"data":[{"phone":"139-0013-9000","nickName":' in reset


def walk(page: Path) -> list[str]:
    """The shell blocks of a page that call the system."""
    return [block for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL) if "curl" in block]


def functions(script: str) -> str:
    """The lines of a script that define variables and functions: a terminal still knows them later."""
    return "".join(line + "\n" for line in script.splitlines() if re.match(r"(\. |V1=|[a-z0-9]+\(\) \{)", line))


def run_script(script: str, folder: Path) -> str:
    """Run a script in a shell and return its output."""
    process = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
