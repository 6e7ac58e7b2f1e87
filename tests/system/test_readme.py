"""The README's walk-through, run as it is written: with curl, the shell, and the inbox's JSON."""

import re
import subprocess
from pathlib import Path

from stack.system import Stack
from support.database import Tables

README = Path(__file__).parents[2] / "README.md"
FIRST, FRIEND = "13800138000", "13900139000"


async def test_a_reader_registers_logs_in_resets_and_finds_a_friend(
    system: Stack, tables: Tables, tmp_path: Path
) -> None:
    (tmp_path / ".local").mkdir()
    env = "".join(f"{name}='{value}'\n" for name, value in system.addresses.items())
    (tmp_path / ".local" / "stack.env").write_text(env)
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL)
    steps = [block for block in blocks if "curl" in block]
    before, after = "".join(steps).split("sleep 60\n")

    registered = run_script(before, tmp_path)
    await tables.age(FIRST, 61)
    definitions = functions(before)
    reset = run_script(definitions + after, tmp_path)

    assert '"success":"true"' in registered
    assert f'"phone":"{FIRST}"' in registered
    assert '"user_id":"' in registered
    assert '{"verify_code":""}' in reset
    assert f'"phone":"{FRIEND}"' in reset
    assert '"data":[{"phone":"139-0013-9000","nickName":' in reset


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
