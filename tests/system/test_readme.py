"""The walks that the documents print, run as they are written: with curl, the shell, and the inbox's JSON."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from stack.system import Stack
from support.database import Tables

ROOT = Path(__file__).parents[2]


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


async def test_a_reader_of_maitian_registers_logs_in_resets_and_finds_a_friend_twice_in_a_row(
    terminal: Path, tables: Tables
) -> None:
    before, after = "".join(walk(ROOT / "docs" / "contracts" / "maitian.md")).split("sleep 60\n")
    for _ in range(2):
        sent, registered, logged_in = map(json.loads, run_script(before, terminal).splitlines())
        number = registered["data"]["phone"]
        await tables.age(number, 61)
        lines = run_script(definitions(before) + f"PHONE={number}\n" + after, terminal).splitlines()
        forgot, reset, _, friend, found = map(json.loads, lines)

        assert (sent["success"], forgot) == ("true", {"verify_code": ""})
        assert logged_in["user_id"] == reset["user_id"] == str(registered["data"]["userId"])
        assert [each["phone"] for each in found["data"]] == [friend["data"]["phone"]]


def test_a_step_that_fails_says_why_and_shows_no_traceback(terminal: Path) -> None:
    for page, call in (
        ("README.md", 'field ticket <<< "$ANSWER"'),
        ("docs/contracts/maitian.md", 'field token <<< "$ANSWER"'),
    ):
        script = definitions("".join(walk(ROOT / page))) + """ANSWER='{"code": "code_refused"}'\n""" + call
        failed = subprocess.run(["bash", "-c", script], cwd=terminal, capture_output=True, text=True, check=False)
        assert failed.returncode != 0
        assert failed.stderr.startswith("no t")
        assert '{"code": "code_refused"}' in failed.stderr
        assert "Traceback" not in failed.stderr


def walk(page: Path) -> list[str]:
    """The shell blocks of a page that call the system."""
    return [block for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL) if "curl" in block]


def definitions(script: str) -> str:
    """The variables and functions at the beginning of a script: a terminal still knows them later."""
    return script.partition("\n\n")[0] + "\n"


def run_script(script: str, folder: Path) -> str:
    """Run a script in a shell and return its output."""
    process = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
