"""The command ``shadow`` against a system, and differences that are planted into a recording."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack.system import Stack

from support.commands import Ended, run_command


@dataclass(frozen=True)
class Planted:
    """A change to one recorded answer, and how the report names it: call, field, kind."""

    method: str
    path: str
    old: str
    new: str
    call: str
    field: str
    kind: str

    @property
    def reported_field(self) -> str:
        """The field as the report names it: what Haoma lacks is no field of the contract."""
        return f"{self.field} (not of the contract)" if self.kind == "missing" else self.field


PLANTED = (
    Planted(
        *("POST", "/v1/user/login.json", '"avatar":""', '"avatar":"https://old.example/a.png"'),
        *("maitian log_in", "avatar", "value"),
    ),
    Planted(
        *("POST", "/v1/user/login.json", '"error_code":"20000"', '"error_code":"20009"'),
        *("maitian log_in", "error_code", "value"),
    ),
    Planted(*("GET", "/v2/me", '"gender":"none",', ""), *("native show_me", "gender", "extra")),
    Planted(
        *("POST", "/v1/register", '"success":"true"', '"success":true'), *("register_page register", "success", "type")
    ),
    Planted(*("POST", "/users", '"userId":', '"id":1,"userId":'), *("tel register", "id", "missing")),
)
"""One of each kind, in five calls of four contracts."""


def plant(recording: list[dict[str, Any]], planted: Planted) -> int:
    """Change the first answer that fits. Returns its line. Fails if the recording has none."""
    for line, call in enumerate(recording, 1):
        answer = call["response"]
        is_call = (call["method"], call["path"].partition("?")[0]) == (planted.method, planted.path)
        if is_call and planted.old in answer["body"]:
            call["response"] = {**answer, "body": answer["body"].replace(planted.old, planted.new)}
            return line
    raise AssertionError(f"the recording has no answer to plant {planted} in")


async def run_shadow(file: Path | str, *options: str, stdin: bytes = b"") -> Ended:
    """Exit status, standard output and standard error of ``python -m gateway shadow``."""
    return await run_command("gateway", "shadow", str(file), *options, environ=os.environ, stdin=stdin)


async def shadow_copy(copy: Stack, file: Path, *options: str) -> tuple[int | None, dict[str, Any]]:
    """Exit status and report of a run of all calls against a copy."""
    status, output, errors = await run_shadow(
        *(file, "--copy", copy.url("gateway"), "--inbox", copy.url("sms-service"), "--json", *options)
    )
    assert output, errors
    return status, json.loads(output)


def named(report: Mapping[str, Any]) -> set[tuple[str, str, str, tuple[int, ...]]]:
    """The differences of a report, by call, field, kind and lines."""
    differences: Iterable[Mapping[str, Any]] = report["differences"]
    return {(each["call"], each["field"], each["kind"], tuple(each["lines"])) for each in differences}
