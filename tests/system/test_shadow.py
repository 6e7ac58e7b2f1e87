"""Shadow runs against running systems: calls that were recorded in one are made in another, and compared."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from stack.services import Service
from stack.system import Stack
from support.app import App, fresh_number
from support.database import Tables
from support.moving import import_users
from support.recordings import RecordingApp, record, write
from support.shadow import PLANTED, named, plant, run_shadow, shadow_copy
from support.shadow_conversation import line

CALLS = 200
SEED = 13
BEHIND_A_PROXY = {"TRUSTED_PROXIES": "127.0.0.1"}
COPY = {"CALLER_LIMITS": "off", "ENVIRONMENT": "development", **BEHIND_A_PROXY}
COUNTED = {"auth": ("sessions", "audit_log"), "sms": ("verifications", "messages")}


@pytest.fixture(scope="module")
def recorded_gateway(system: Stack) -> Iterator[Service]:
    """A gateway that accepts the addresses of the recording."""
    service = system.launch("gateway", label="recorded-gateway", env=BEHIND_A_PROXY)
    yield service
    service.stop()


@pytest.fixture(scope="module")
async def recorded_app(recorded_gateway: Service, system: Stack) -> AsyncIterator[App]:
    async with App.connect(recorded_gateway.url, system.url("sms-service")) as app:
        yield app


@pytest.fixture
async def recorder(recorded_app: App) -> RecordingApp:
    return RecordingApp(recorded_app.http, recorded_app.gateway, recorded_app.sms)


@pytest.fixture(scope="module")
async def recording(recorded_app: App) -> list[dict[str, Any]]:
    """Calls of all contracts."""
    return await record(recorded_app, CALLS, SEED)


@pytest.fixture(scope="module")
def copy() -> Iterator[Stack]:
    """Another system, with other keys and without users."""
    with Stack.private(environ=COPY) as stack:
        stack.start()
        yield stack


@pytest.mark.timeout(400)
async def test_a_copy_gives_the_recorded_answers_and_only_planted_differences_are_named(
    recording: list[dict[str, Any]], copy: Stack, tmp_path: Path
) -> None:
    changed = list(recording)
    lines = {planted: plant(changed, planted) for planted in PLANTED}
    write(tmp_path / "calls", changed)
    decided = {"call": "tel register", "field": "id *", "reason": "the old back end repeats the id"}
    (tmp_path / "expected").write_text(json.dumps(decided))

    status, report = await shadow_copy(copy, tmp_path / "calls", "--expect", str(tmp_path / "expected"))

    assert named(report) == {(each.call, each.reported_field, each.kind, (line,)) for each, line in lines.items()}
    reasons = {each["call"]: each["reason"] for each in report["differences"]}
    assert reasons.pop("tel register") == decided["reason"]
    assert set(reasons.values()) == {""}
    assert (status, report["compared"], report["broken"]) == (3, len(recording), {})
    assert set(report["calls"]) == {"maitian", "native", "phone_info", "register_page", "tel"}
    assert not (tmp_path / "calls.shadow").exists()


async def test_on_a_live_system_only_calls_that_change_nothing_are_made(
    system: Stack, recorder: RecordingApp, tables: Tables, tmp_path: Path
) -> None:
    number = fresh_number()
    user = await recorder.register(number, "secret123")
    bearer = {"Authorization": f"Bearer {user['token']}"}
    await recorder.call("GET", f"/users/{user['userId']}", headers=bearer)
    await recorder.call("GET", "/v2/me", headers=bearer)
    await recorder.call("POST", "/v1/register/checkPhone", json={"phone": number})
    await recorder.log_in(number, "secret123")
    write(tmp_path / "calls", recorder.recording)
    before = await rows(tables)

    status, output, errors = await run_shadow(tmp_path / "calls", "--haoma", system.url("gateway"))

    assert status == 0, output + errors
    assert output.splitlines()[:2] == [
        "7 calls read, 2 compared: native 1, tel 1",
        "  5 not sent: would change something (needs --copy)",
    ]
    assert await rows(tables) == before


async def rows(tables: Tables) -> dict[str, int]:
    """How many sessions, audit entries, verifications and messages there are."""
    return {
        table: await tables.connections[database].fetchval(f"select count(*) from {table}")
        for database, counted in COUNTED.items()
        for table in counted
    }


async def test_a_user_who_moved_in_with_a_session_gets_the_answers_of_the_old_back_end(
    system: Stack, tmp_path: Path
) -> None:
    number, user_id, token = fresh_number(), secrets.randbelow(2**46) + 1, secrets.token_hex(16)
    user = {"id": user_id, "phone": number, "nickname": "小时候", "gender": "female", "sessions": [{"token": token}]}
    (tmp_path / "users").write_text(json.dumps(user))
    status, output = await import_users(system, tmp_path / "users")
    assert status == 0, output
    shown = {"userId": user_id, "nickName": "小时候", "tel": {"dialCode": 86, "number": int(number)}}
    answer = {**shown, "avatar": None, "gender": "m", "signature": None}
    recorded = [
        line("GET", f"/users/{user_id}", answer, headers={"Authorization": f"Bearer {token}"}),
        line("GET", f"/users/{user_id}", answer, headers={"Cookie": f"session={token}"}),
    ]
    (tmp_path / "calls").write_bytes(b"".join(recorded))

    status, output, errors = await run_shadow(tmp_path / "calls", "--haoma", system.url("gateway"))
    assert (status, errors) == (0, ""), output
    assert output.startswith("2 calls read, 2 compared: tel 2\n0 unexplained differences")

    recorded.append(line("GET", f"/users/{user_id}", {**answer, "userId": 7}, headers={"Cookie": f"session={token}"}))
    (tmp_path / "calls").write_bytes(b"".join(recorded))
    status, output, _ = await run_shadow(tmp_path / "calls", "--haoma", system.url("gateway"))
    assert status == 3
    assert "userId: value: recorded number of 1 digits, Haoma number of" in output


async def test_no_value_of_a_user_is_in_a_report_or_in_its_details(
    system: Stack, recorder: RecordingApp, tmp_path: Path
) -> None:
    number = fresh_number()
    user = await recorder.register(number, "secret123")
    bearer = {"Authorization": f"Bearer {user['token']}"}
    shown = await recorder.call("GET", "/v2/me", headers=bearer)
    private = "Nickname of the old back end", "+8613900000000", "13900000000"
    recorder.recording[-1]["response"]["body"] = json.dumps(
        {**shown.body, "nickname": private[0], "phone": private[1], private[2]: private[2], "user_id": 123456789012}
    )
    write(tmp_path / "calls", recorder.recording[-1:])
    arguments = ("--haoma", system.url("gateway"), "--details", str(tmp_path / "details"))

    status, output, errors = await run_shadow(tmp_path / "calls", *arguments)

    assert status == 3
    details = await asyncio.to_thread((tmp_path / "details").read_text)
    fields = [json.loads(line)["field"] for line in details.splitlines()]
    assert sorted(fields) == ["(a name) (not of the contract)", "nickname", "phone", "user_id"]
    for value in (*private, number, user["token"], str(user["userId"]), user["nickName"], "123456789012"):
        assert value not in output + errors + details


async def test_a_mirror_of_calls_is_compared_from_standard_input(system: Stack, recorder: RecordingApp) -> None:
    await recorder.call("GET", "/users/1")
    lines = json.dumps(recorder.recording[0]).encode() + b"\n{\n"

    status, output, errors = await run_shadow("-", "--haoma", system.url("gateway"), stdin=lines)

    assert (status, errors) == (3, "")
    assert "1 lines cannot be read: json_broken (line 2)" in output
    assert "0 unexplained differences" in output


async def test_a_gateway_that_does_not_run_stops_the_run_with_a_line(recorder: RecordingApp, tmp_path: Path) -> None:
    await recorder.call("GET", "/users/1")
    write(tmp_path / "calls", recorder.recording)

    status, output, errors = await run_shadow(tmp_path / "calls", "--haoma", "http://127.0.0.1:9")

    assert (status, output) == (1, "")
    assert errors == "shadow: stopped: http://127.0.0.1:9 cannot be reached\n"
