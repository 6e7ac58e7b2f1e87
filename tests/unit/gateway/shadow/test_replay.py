"""A replay: the order of each user, codes and tokens of the copy, what is not sent, and going on after a stop."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.shadow_conversation import (
    DONE,
    E164,
    NUMBER,
    TABLE,
    InboxOf,
    StandIn,
    always,
    check_code,
    line,
    send_code,
)

from gateway.shadow.caller import ShadowCaller
from gateway.shadow.checkpoint import CheckpointFile, OtherRunError, Progression
from gateway.shadow.differences.expectations import Expectations
from gateway.shadow.differences.output import DetailsFile
from gateway.shadow.haoma import UnreachableError
from gateway.shadow.recorded.recording import Line
from gateway.shadow.recorded.requests import Request
from gateway.shadow.replay import Judgement, Plan, Replay

SETTLE_SECONDS = 0.5
WRONG = {"error_code": "10001", "error_message": "验证码错误"}


def lines_of(recording: Sequence[bytes]) -> list[Line]:
    ends = [sum(map(len, recording[: number + 1])) for number in range(len(recording))]
    return [Line(number, content, end) for number, (content, end) in enumerate(zip(recording, ends, strict=True), 1)]


async def replay(
    recording: Sequence[bytes],
    gateway: StandIn,
    *,
    inbox: InboxOf | None = None,
    run: Progression | None = None,
    is_copy: bool = True,
    saved: list[int] | None = None,
    **plan: Any,
) -> Progression:
    """Replay a recording from where ``run`` is."""
    run = run or Progression()

    async def lines() -> AsyncIterator[Line]:
        for each in lines_of(recording)[run.line :]:
            yield each

    plan = {"concurrency": 4, **plan}
    replayed = Replay(
        TABLE,
        ShadowCaller(gateway, inbox, run.known, SETTLE_SECONDS),
        run,
        Judgement(Expectations(), DetailsFile(None)),
        Plan(**plan, is_copy=is_copy),
    )
    await replayed.run(lines(), lambda progression: saved.append(progression.line) if saved is not None else None)
    return run


async def test_calls_of_one_number_keep_their_order_and_others_run_beside_them() -> None:
    begun = asyncio.Event()

    async def answer(request: Request) -> Any:
        if NUMBER in request.target and "verify_code.json" in request.target:
            await begun.wait()
        if "13900139000" in request.target:
            begun.set()
        return DONE

    gateway = StandIn(answer)
    recording = [send_code(), check_code("1", DONE), check_code("2", DONE), send_code("13900139000")]
    run = await replay(recording, gateway)

    order = [request.target for request in gateway.requests if NUMBER in request.target]
    assert order == [json.loads(each)["path"] for each in recording[:3]]
    assert run.report.compared == 4


async def test_no_more_calls_run_at_once_than_allowed() -> None:
    gateway = StandIn(lambda _: always(DONE))
    await replay([send_code(f"138001380{each:02}") for each in range(50)], gateway, concurrency=3)
    assert gateway.most_running == 3


async def test_calls_that_are_tied_by_a_token_keep_their_order() -> None:
    user = {"userId": 7, "nickName": "A", "tel": {"dialCode": 86, "number": int(NUMBER)}, "avatar": None}
    user |= {"gender": "none", "signature": None}
    recorded = json.loads(line("POST", "/users/signin", user, json={"tel": user["tel"], "password": "secret123"}))
    recorded["response"]["headers"] = {"Authorization": "Bearer old"}
    begun = asyncio.Event()

    async def answer(request: Request) -> Any:
        if request.target == "/v1/user/register/verify_code.json?source=a&phone_number=13900139000":
            begun.set()
        if request.target == "/users/signin":
            await begun.wait()
        return user if "users" in request.target else DONE

    gateway = StandIn(answer)
    shown = line("GET", "/users/7", user, headers={"Authorization": "Bearer old"})
    await replay([json.dumps(recorded).encode(), shown, send_code("13900139000")], gateway)

    assert [each.target for each in gateway.requests if "users/" in each.target] == ["/users/signin", "/users/7"]


async def test_a_right_code_is_replaced_by_that_of_the_copy_and_a_wrong_one_is_not() -> None:
    gateway = StandIn(lambda request: always(DONE if "222222" in request.target else WRONG))
    inbox = InboxOf({E164: [("1", "222222")]})
    ticket = {"success": "true", "data": {"tmp_token": "old"}}
    recording = [send_code(), check_code("999999", WRONG), check_code("111111", ticket), check_code("111111", WRONG)]

    await replay(recording, gateway, inbox=inbox)

    codes = [request.target.rpartition("=")[2] for request in gateway.requests]
    assert codes == [NUMBER, "999999", "222222", "222222"]


async def test_after_another_message_its_code_is_used() -> None:
    gateway = StandIn(lambda _: always(DONE))
    inbox = InboxOf({E164: [("1", "222222"), ("2", "333333")]})
    recording = [send_code(), check_code("111111", DONE), send_code(), check_code("444444", DONE)]

    await replay(recording, gateway, inbox=inbox)

    codes = [request.target.rpartition("=")[2] for request in gateway.requests]
    assert codes == [NUMBER, "222222", NUMBER, "333333"]


async def test_a_token_of_the_recording_becomes_that_of_haoma() -> None:
    async def answer(request: Request) -> Any:
        await asyncio.sleep(0)
        return {"success": "true", "data": {"tmp_token": "new"}} if "verify.json" in request.target else DONE

    gateway = StandIn(answer)
    registered = line(
        "POST",
        "/v1/user/register/new_user.json",
        DONE,
        json={"source": "a", "phone_number": NUMBER, "pwd": "secret123", "tmp_token": "old"},
    )
    await replay([check_code("1", {"success": "true", "data": {"tmp_token": "old"}}), registered], gateway)
    assert json.loads(gateway.requests[1].body)["tmp_token"] == "new"


async def test_without_a_copy_only_calls_that_change_nothing_are_sent() -> None:
    gateway = StandIn(lambda _: always(DONE))
    recording = [
        send_code(),
        line("GET", "/v2/me", DONE),
        line("POST", "/v1/user/logout.json", DONE),
        line("GET", "/static/app.js", {}),
        line("GET", "/v2/sessions", {}, status=502),
        b"{\n",
    ]
    run = await replay(recording, gateway, is_copy=False)

    assert [each.target for each in gateway.requests] == ["/v2/me", "/v1/user/logout.json"]
    assert run.report.skipped.total() == 3
    assert run.report.broken == {"json_broken": [6]}
    assert run.report.unexplained == []


@pytest.mark.parametrize("path", ["/v2/sessions/%72efresh", "/v2/sessions/refresh#", "/v2/sessions/%72efresh?a=1#b"])
async def test_without_a_copy_no_spelling_of_a_path_lets_a_call_through_that_changes_something(path: str) -> None:
    gateway = StandIn(lambda _: always(DONE))

    run = await replay([line("POST", path, DONE), line("GET", "/v2/%6de", DONE)], gateway, is_copy=False)

    assert [each.target for each in gateway.requests] == ["/v2/%6de"]
    assert run.report.skipped.total() == 1


async def test_a_call_that_a_contract_does_not_have_is_named_without_its_path() -> None:
    refused = {"error_code": "20005", "error_message": "参数错误"}
    run = await replay([line("POST", "/v1/user/13800138000.json", DONE)], StandIn(lambda _: always(refused)))
    (found,) = run.report.unexplained
    assert (found.call, found.address, found.field) == ("maitian (no such call)", "POST", "(outcome)")


async def test_a_call_without_an_answer_is_a_difference() -> None:
    run = await replay([send_code()], StandIn(lambda _: always(None)))
    (found,) = run.report.unexplained
    assert (found.field, found.kind, found.lines) == ("(answer)", "missing", [1])


async def test_what_follows_from_another_outcome_is_counted_apart() -> None:
    refused = {"error_code": "10005", "error_message": "参数错误"}

    async def answer(request: Request) -> Any:
        await asyncio.sleep(0)
        return DONE if "13900139000" in request.target else refused

    recording = [send_code(), check_code("1", DONE), check_code("2", refused), send_code("13900139000", refused)]
    run = await replay(recording, StandIn(answer))

    assert {(each.call, *each.lines) for each in run.report.unexplained} == {("maitian send_registration_code", 1, 4)}
    assert (run.report.compared, run.report.differing, run.report.following) == (4, 2, 1)


async def test_a_look_up_that_differs_is_made_again() -> None:
    answers = iter([{"success": "true", "data": []}, {"success": "true", "data": [{"phone": "1"}]}])
    contacts = line(
        "POST",
        "/v1/user/register/check_contact.json",
        {"success": "true", "data": [{"phone": "1"}]},
        json={"source": "a", "userId": 1, "token": "t", "phoneNumbers": ["1"]},
    )
    run = await replay([contacts], StandIn(lambda _: always(next(answers))))
    assert run.report.is_clean


async def test_a_look_up_that_always_differs_is_soon_made_once_only() -> None:
    gateway = StandIn(lambda _: always(DONE))
    recording = [
        line("GET", "/v2/me", {"success": "false"}, headers={"Authorization": f"Bearer {each}"}) for each in range(20)
    ]
    run = await replay(recording, gateway, concurrency=1)
    assert run.report.differing == 20
    targets = [request.headers["authorization"] for request in gateway.requests]
    assert len(set(targets[-16:])) == 16


async def test_a_gateway_that_cannot_be_reached_stops_the_run() -> None:
    async def answer(_: Request) -> Any:
        raise UnreachableError("gone")

    with pytest.raises(UnreachableError):
        await replay([send_code()] * 3, StandIn(answer))


async def test_a_rate_and_the_times_of_the_recording_space_calls_out() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def answer(_: Request) -> Any:
        times.append(loop.time())
        return await always(DONE)

    recording = [line("GET", "/v2/me", DONE, time=1_796_025_600 + each) for each in range(5)]
    await replay(recording, StandIn(answer), rate=50)
    await replay(recording, StandIn(answer), speed=50)

    for start in (0, 5):
        gaps = [
            after - before for before, after in zip(times[start : start + 4], times[start + 1 : start + 5], strict=True)
        ]
        assert sum(gaps) >= 4 * 0.019


async def test_a_run_that_was_stopped_goes_on_with_its_report_and_its_tokens(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    ticket = {"success": "true", "data": {"tmp_token": "old"}}
    recording = [check_code("1", ticket), b"{\n", check_code("2", {**ticket, "extra": 1})]
    recording.append(
        line("POST", "/v1/user/register/new_user.json", DONE, json={"phone_number": NUMBER, "tmp_token": "old"})
    )
    file.write_bytes(b"".join(recording))
    gateway = StandIn(lambda _: always({"success": "true", "data": {"tmp_token": "new"}}))
    stopped = await replay(recording[:3], gateway)
    CheckpointFile.beside(file, "http://copy").save(stopped)

    resumed = CheckpointFile.beside(file, "http://copy").load()
    assert resumed is not None
    assert (resumed.line, resumed.offset) == (3, sum(map(len, recording[:3])))
    await replay(recording, gateway, run=resumed)

    assert len(gateway.requests) == 3
    assert json.loads(gateway.requests[2].body)["tmp_token"] == "new"
    assert (resumed.report.read, resumed.report.compared, resumed.report.broken) == (4, 3, {"json_broken": [2]})
    assert (tmp_path / "calls.shadow").stat().st_mode & 0o777 == 0o600


async def test_a_checkpoint_of_another_system_or_a_broken_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "calls"
    file.write_bytes(send_code())
    CheckpointFile.beside(file, "http://copy").save(Progression())
    with pytest.raises(OtherRunError, match="of another run: use --restart"):
        CheckpointFile.beside(file, "http://other").load()
    (tmp_path / "calls.shadow").write_bytes(b"{")
    with pytest.raises(OtherRunError, match="no checkpoint"):
        CheckpointFile.beside(file, "http://copy").load()


async def test_a_run_is_saved_after_each_thousand_calls_and_at_the_end() -> None:
    saved: list[int] = []
    await replay([send_code(f"13{each:09}") for each in range(2_100)], StandIn(lambda _: always(DONE)), saved=saved)
    assert saved == [1_000, 2_000, 2_100]
