"""``make policy``: asks each service what its settings promise, and joins the answers into one table."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from stack.commands.exec import environment_of_the_running_stack
from stack.folder import ROOT

Line = dict[str, Any]
"""One promise, as ``shared.policy.lines`` declares it."""
PROMISING_MODULES = ("sms_service", "auth_service", "contacts_service")


def policy(*, as_json: bool) -> int:
    """Print the policy of the running stack. Returns 1 if none runs, or if a service cannot read its settings."""
    environ = environment_of_the_running_stack()
    if environ is None:
        return 1
    try:
        lines = collect(environ)
        print(json.dumps(lines, ensure_ascii=False, indent=2) if as_json else table(lines, environ), flush=True)
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr, end="")
        return 1
    return 0


def collect(environ: Mapping[str, str]) -> list[Line]:
    """The promises of all services, each with the contracts that it is about; without those that no contract has.

    Raises ``CalledProcessError`` if a service cannot read its settings.
    """
    dialects = json.loads(_run(["gateway", "policy", "--json"], environ))
    lines = [line for module in PROMISING_MODULES for line in _promises(module, dialects, environ)]
    named = [{**line, "dialects": line["dialects"] or _having(dialects, line["call"])} for line in lines]
    return merged([line for line in named if line["dialects"]])


def _promises(module: str, dialects: Sequence[Mapping[str, Any]], environ: Mapping[str, str]) -> list[Line]:
    """The promises of one service. sms-service is told the rules of each contract, as it is with each request."""
    rules = [f"--dialect={each['name']}:{each['cooldown']}:{each['daily_cap']}" for each in dialects]
    arguments = rules if module == "sms_service" else []
    lines: list[Line] = json.loads(_run([module, "policy", "--json", *arguments], environ))
    return lines


def table(lines: Sequence[Line], environ: Mapping[str, str]) -> str:
    """The lines for people."""
    return _run(["shared.policy.table"], environ, json.dumps(lines))


def merged(lines: Sequence[Line]) -> list[Line]:
    """The lines, where those that differ in their contracts only are one."""
    found: dict[str, Line] = {}
    for line in lines:
        key = json.dumps({**line, "dialects": None}, sort_keys=True)
        before = found.setdefault(key, {**line, "dialects": []})
        before["dialects"] = [*before["dialects"], *line["dialects"]]
    return list(found.values())


def _having(dialects: Sequence[Mapping[str, Any]], call: str) -> list[str]:
    return [dialect["name"] for dialect in dialects if call in dialect["calls"]]


def _run(words: Sequence[str], environ: Mapping[str, str], text: str = "") -> str:
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, input=text, env=environ, cwd=ROOT, check=True, capture_output=True, text=True)
    printed: str = done.stdout
    return printed
