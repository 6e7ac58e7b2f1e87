"""The recorder of contract cases: it writes the cases that we have, and refuses what it cannot record."""

import json
from pathlib import Path
from typing import Any

import pytest
from contract import record as recorder
from contract.record import RecordError, as_text, parse_step, read_input, read_stack, record
from stack.system import Stack
from support.app import App
from support.contract_cases import CASES, CasePlayer
from support.database import Tables

SAME = [
    "maitian/register-and-log-in",
    "native/languages",
    "native/profile",
    "native/register-and-log-in",
    "phone_info/register",
    "register_page/1002-cooldown",
    "tel/register",
]
"""Cases of every dialect: with a fragment, with refusals, with headers, and with time that passes."""


def without_responses(case: dict[str, Any]) -> dict[str, Any]:
    steps = [{name: value for name, value in step.items() if name != "response"} for step in case["steps"]]
    return {**case, "steps": steps}


@pytest.mark.parametrize("name", SAME)
async def test_recording_a_case_without_responses_writes_the_same_file(app: App, tables: Tables, name: str) -> None:
    text = (CASES / f"{name}.json").read_text()

    recorded = await record(without_responses(json.loads(text)), CasePlayer({"": app}, tables))

    assert as_text(recorded) == text


async def test_a_case_is_recorded_from_a_running_system(
    system: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {**system.environ, **system.addresses}
    lines = (f"{name}='{environ[name]}'\n" for name in ("GATEWAY_URL", "SMS_URL", "POSTGRES_URL", "PHONE_KEY"))
    (tmp_path / "stack.env").write_text("".join(lines))
    monkeypatch.setattr(recorder, "STACK", tmp_path)
    path = tmp_path / "new" / "check.json"
    case = read_input(path, "A number is free", ['POST /v1/register/checkPhone {"phone": "{number}"}'])

    await recorder.record_file(path, case, read_stack(tmp_path))

    free = {"success": "true", "errorCode": "0000", "msg": "手机号可用", "data": None}
    request = {"method": "POST", "path": "/v1/register/checkPhone", "json": {"phone": "{number}"}}
    steps = [{"request": request, "response": {"status": 200, "body": free}}]
    assert json.loads(path.read_text()) == {"title": "A number is free", "steps": steps}


def test_without_a_running_system_the_command_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recorder, "STACK", tmp_path)

    assert recorder.main([str(tmp_path / "new.json"), "--title", "T", "--step", "GET /v2/me"]) == 1

    assert "no system is running; start one with `make run`" in capsys.readouterr().err
    assert not (tmp_path / "new.json").exists()


@pytest.mark.parametrize(
    ("content", "title", "steps", "message"),
    [
        ("[", "T", [], "is not a JSON object"),
        (None, None, ["GET /v2/me"], "has no title"),
        (None, "T", [], "has no steps"),
        (None, "T", ["/v2/me"], "not a step"),
        (None, "T", ["POST /v2/sessions {"], "invalid JSON"),
    ],
)
def test_an_input_that_is_no_case_is_refused_with_the_reason(
    tmp_path: Path, content: str | None, title: str | None, steps: list[str], message: str
) -> None:
    path = tmp_path / "case.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(RecordError, match=message):
        read_input(path, title, steps)


async def test_a_step_to_a_gateway_that_does_not_run_is_refused(app: App, tables: Tables) -> None:
    case = {"title": "T", "steps": [parse_step("GET /v2/me") | {"via": "orphan"}]}

    with pytest.raises(RecordError, match='step 1: this system has no gateway "orphan"'):
        await record(case, CasePlayer({"": app}, tables))
