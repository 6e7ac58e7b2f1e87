"""``python -m stack exec``: a command that runs with the settings of the running stack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stack.commands import exec as stack_exec
from stack.folder import ROOT


def test_a_command_gets_the_stacks_addresses_and_prefers_the_callers_secrets_to_the_stored_ones() -> None:
    stored = {"PHONE_KEY": "stored", "GATEWAY_TO_SMS_TOKEN": "stored", "CODE_KEYS": "stored"}
    caller = {"PHONE_KEY": "caller", "POSTGRES_URL": "elsewhere", "PYTHONPATH": f"{ROOT / 'deploy'}:/else", "HOME": "h"}
    service = {"SMS_CONFIG_FILE": "routes.toml", "HOME": "service", "PHONE_KEY": "service", "CODE_KEYS": "service"}
    assert stack_exec.environment(caller, stored, "POSTGRES_URL='a b'\nAUTH_URL=c\n", service) == {
        "SMS_CONFIG_FILE": "routes.toml",
        "ENVIRONMENT": "development",
        "PHONE_KEY": "caller",
        "GATEWAY_TO_SMS_TOKEN": "stored",
        "CODE_KEYS": "service",
        "POSTGRES_URL": "a b",
        "AUTH_URL": "c",
        "PYTHONPATH": "/else",
        "HOME": "h",
    }


@pytest.mark.parametrize("running", [True, False])
def test_a_command_runs_only_while_a_stack_runs_in_the_checkout(running: bool, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from stack.commands import exec as stack_exec\n"
        f"stack_exec.MAIN_FOLDER = Path({str(tmp_path)!r})\n"
        'command = \'import os; print(os.environ["GATEWAY_URL"], len(os.environ["PHONE_KEY"]))\'\n'
        "sys.exit(stack_exec.execute(['python', '-c', command]))"
    )
    if running:
        (tmp_path / "stack.env").write_text("GATEWAY_URL=http://here\n")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "deploy")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == (0 if running else 1)
    assert done.stdout == ("http://here 64\n" if running else "")
    assert ("make run" in done.stderr) is not running
