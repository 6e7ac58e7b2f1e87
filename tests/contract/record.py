"""``make record``: performs the steps of a contract case against a running system and writes the responses into it.

    make record CASE=tests/contract/cases/native/city.json
    make record RECORD_ARGS='new.json --title "The keys are public" --step "GET /.well-known/jwks.json"'

The system is the one that ``make run`` started; its addresses are in ``.local/stack.env``. See
``support/contract_cases.py`` for the format of a case.
"""

import argparse
import asyncio
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contract.case_placeholders import Placeholders
from support.app import App
from support.contract_cases import CasePlayer, expand
from support.database import Tables

ROOT = Path(__file__).parents[2]
STACK = ROOT / ".local"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")


class RecordError(Exception):
    """The reason why a case cannot be recorded, in words for the person who runs the command."""


async def record(case: Mapping[str, Any], player: CasePlayer) -> dict[str, Any]:
    """Perform every step and return the case with the responses as they came, placeholders in place of what varies.

    A step with ``within`` must have its response already: only its author knows what to wait for.
    """
    placeholders = Placeholders(case["steps"], player.known)
    recorded = []
    for position, step in enumerate(case["steps"], 1):
        try:
            recorded.append(await _record_step(step, player, placeholders))
        except (AssertionError, LookupError, ValueError, RecordError) as error:
            raise RecordError(f"step {position}: {error}") from error
    return {**case, "steps": recorded}


async def _record_step(step: Mapping[str, Any], player: CasePlayer, placeholders: Placeholders) -> dict[str, Any]:
    if "request" not in step or "within" in step:
        if "request" in step and "response" not in step:
            raise RecordError('a step with "within" needs its response, which the recorder then waits for')
        await player.replay(expand(step))
        return dict(step)
    try:
        replies = [await player.send(step) for _ in range(step.get("times", 1))]
    except KeyError as error:
        raise RecordError(f'this system has no gateway "{step["via"]}"; the tests start it') from error
    response = placeholders.response(replies[-1])
    player.keep(step, replies[-1])
    return _in_order({**step, "response": response})


def _in_order(step: dict[str, Any]) -> dict[str, Any]:
    first = {name: step[name] for name in ("request", "response", "keep") if name in step}
    return first | step


def parse_step(text: str) -> dict[str, Any]:
    """A step from ``METHOD PATH [JSON BODY]``, or from its JSON. Raises ``RecordError``."""
    try:
        if text.lstrip().startswith("{"):
            return dict(json.loads(text))
        method, _, rest = text.strip().partition(" ")
        path, _, body = rest.strip().partition(" ")
        if method not in METHODS or not path.startswith("/"):
            raise RecordError(f"not a step: {text!r}; write METHOD /path and a JSON body, or a step as JSON")
        return {"request": {"method": method, "path": path, **({"json": json.loads(body)} if body else {})}}
    except ValueError as error:
        raise RecordError(f"invalid JSON in {text!r}: {error}") from None


def read_input(path: Path, title: str | None, steps: Sequence[str]) -> dict[str, Any]:
    """The case to record: the file with ``steps`` added to its own. Raises ``RecordError``."""
    try:
        case = dict(json.loads(path.read_text())) if path.exists() else {"title": title, "steps": []}
    except ValueError as error:
        raise RecordError(f"{path} is not a JSON object: {error}") from None
    case |= {"title": title or case.get("title"), "steps": [*case.get("steps", []), *map(parse_step, steps)]}
    if not case["title"]:
        raise RecordError(f"{path} has no title; give it one with --title")
    if not case["steps"]:
        raise RecordError(f"{path} has no steps; write them into the file, or give them with --step")
    return case


def read_stack(folder: Path) -> dict[str, str]:
    """The addresses and secrets of the running system. Raises ``RecordError`` if none runs."""
    if not (folder / "stack.env").exists():
        raise RecordError("no system is running; start one with `make run` and keep it running")
    stack: dict[str, str] = {}
    for name in ("secrets.env", "stack.env"):
        if (folder / name).exists():
            stack |= dict(line.split("=", 1) for line in shlex.split((folder / name).read_text()))
    return stack


async def record_file(path: Path, case: Mapping[str, Any], stack: Mapping[str, str]) -> None:
    """Record a case and write it to the file."""
    async with (
        App.connect(stack["GATEWAY_URL"], stack["SMS_URL"]) as app,
        Tables.connect(stack["POSTGRES_URL"], stack["PHONE_KEY"]) as tables,
    ):
        recorded = await record(case, CasePlayer({"": app}, tables))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_text(recorded))


def as_text(case: Mapping[str, Any]) -> str:
    """A case as its file has it."""
    return json.dumps(case, ensure_ascii=False, indent=2) + "\n"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="make record",
        description="Record a contract case: perform its steps against the system that `make run` started, and write "
        "the responses into the file, with placeholders for the values that vary. Responses in the file are replaced.",
        epilog='Example: tests/contract/cases/native/check.json --title "A code is checked" '
        """--step 'POST /v2/verifications {"phone": "{number}", "purpose": "sign_up"}' """
        """--step '{"read_code": "code", "number": "{number}"}'""",
    )
    parser.add_argument("case", type=Path, help="the case file; it is created if it does not exist")
    parser.add_argument("--title", help="what the case shows, as a sentence")
    parser.add_argument(
        "--step",
        action="append",
        default=[],
        metavar="STEP",
        help="a step to add: METHOD /path [JSON body], or a step as JSON; may be repeated",
    )
    options = parser.parse_args(arguments)
    try:
        case = read_input(options.case, options.title, options.step)
        asyncio.run(record_file(options.case, case, read_stack(STACK)))
    except (RecordError, OSError) as error:
        print(f"record: {error}", file=sys.stderr)
        return 1
    print(f"recorded: {options.case}, steps: {len(case['steps'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
