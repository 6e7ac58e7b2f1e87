"""Replays every recorded exchange of every dialect against the running system, as a client sees it.

A case is a JSON file: a title and steps in order. A step is one of

- ``{"request": {...}, "response": {...}, "keep": {"name": "body.path"}}``: call the gateway and compare;
- ``{"read_code": "name", "number": "{number}"}``: read the newest code from the SMS inbox;
- ``{"age": seconds, "number": "{number}"}``: let time pass for a number;
- ``{"ban": "{number}"}``: ban its account.

``{number}``, ``{other}``, ``{third}`` are fresh numbers, ``{address}`` a fresh address to come from, ``{name}`` is
anything kept before. In an expected body, ``"<text>"`` stands for any text that is not empty, ``"<digits>"`` for decimal
digits, ``"<integer>"`` for a whole number, ``"<match:…>"`` for a text that the expression matches. What is kept may end
in ``~`` and an expression, whose first group is then kept.

A step with ``"via": "orphan"`` goes to a gateway whose services are all out of reach; with ``"via": "switched"`` to one
in front of an sms-service that limits callers, reveals codes and takes 909. One with ``"within": 2`` may be repeated for
that many seconds (longer on a machine that does much else) until it is answered as recorded; one with ``"times": 3`` is sent that often. ``{"numbers": 3}`` in a
request is a list of that many fresh numbers.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from stack import ports
from stack.system import Stack
from support.app import App, fresh_address, fresh_number, md5, wrong
from support.database import Tables

SLOWER = 6
"""What a case says comes true within some seconds may take so many times as long beside other load."""
CASES = sorted((Path(__file__).parent / "cases").glob("*/*.json"))


@pytest.fixture(scope="session")
async def orphan(system: Stack) -> AsyncIterator[App]:
    """A gateway whose services are all out of reach."""
    nowhere = f"http://127.0.0.1:{ports.free_port()}"
    env = {"AUTH_URL": nowhere, "SMS_URL": nowhere, "CONTACTS_URL": nowhere}
    service = system.launch("gateway", label="orphan-gateway", env=env)
    async with App.connect(service.url, nowhere) as app:
        yield app
    service.stop()


@pytest.fixture(scope="session")
async def switched(system: Stack) -> AsyncIterator[App]:
    """A gateway and an sms-service with every switch the other way; the gateway believes who says where he is."""
    switches = {"CALLER_LIMITS": "on", "REVEAL_CODES": "true", "MASTER_CODE": "909"}
    sms = system.launch("sms-service", label="switched-sms-service", env=switches)
    env = {"SMS_URL": sms.url, "TRUSTED_PROXIES": "127.0.0.1"}
    service = system.launch("gateway", label="switched-gateway", env=env)
    async with App.connect(service.url, sms.url) as app:
        yield app
    service.stop()
    sms.stop()


@pytest.fixture
def gateways(app: App, orphan: App, switched: App) -> dict[str, App]:
    """The gateways by what a step calls them."""
    return {"": app, "orphan": orphan, "switched": switched}


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
async def test_the_recorded_exchange_is_answered_as_recorded(
    path: Path, app: App, gateways: dict[str, App], tables: Tables
) -> None:
    case = json.loads(path.read_text())
    known = {name: fresh_number() for name in ("number", "other", "third")} | {"address": fresh_address()}
    known["md5_of_number"] = md5(known["number"])
    for position, step in enumerate(case["steps"], 1):
        step = fill(step, known)
        if "read_code" in step:
            known[step["read_code"]] = await app.code(step["number"])
            known["wrong_" + step["read_code"]] = wrong(known[step["read_code"]])
        elif "age" in step:
            await tables.age(step["number"], step["age"])
        elif "ban" in step:
            await tables.ban(step["ban"])
        else:
            for _ in range(step.get("times", 1)):
                await replay_within(gateways[step.get("via", "")], step, known, f"{case['title']}, step {position}")


async def replay_within(app: App, step: dict[str, Any], known: dict[str, str], where: str) -> None:
    """Replay a step; one that tells of something eventual is asked again until its time is over."""
    end = time.monotonic() + step.get("within", 0) * SLOWER
    while True:
        try:
            return await replay(app, step, known, where)
        except AssertionError:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(0.05)


async def replay(app: App, step: dict[str, Any], known: dict[str, str], where: str) -> None:
    """Send one request and compare its answer."""
    asked, expected = step["request"], step["response"]
    options = {"params": asked.get("query"), "json": asked.get("json"), "data": asked.get("form") or asked.get("raw")}
    headers = dict(asked.get("headers", {}))
    given = {name: value for name, value in options.items() if value is not None}
    reply = await app.call(asked["method"], asked["path"], headers=headers, **given)
    assert reply.status == expected["status"], f"{where}: {reply.body}"
    if "body" in expected:
        assert matches(reply.body, expected["body"]), f"{where}:\n got {reply.body}\nwant {expected['body']}"
    for name, value in expected.get("headers", {}).items():
        assert matches(reply.headers.get(name), value), f"{where}: {name} is {reply.headers.get(name)!r}"
    stored = expected.get("headers", {}).get("Cache-Control", "no-store")
    assert reply.headers["Cache-Control"] == stored, where
    for name, place in step.get("keep", {}).items():
        place, _, expression = place.partition("~")
        found = str(dig({"body": reply.body, "headers": reply.headers}, place))
        known[name] = re.search(expression, found)[1] if expression else found


def fill(value: Any, known: dict[str, str]) -> Any:
    """``value`` with every ``{name}`` replaced; ``{md5:text}`` is the md5 hex of ``text``; ``{int:name}`` a number."""
    if isinstance(value, dict) and value.keys() == {"numbers"}:
        return [fresh_number() for _ in range(value["numbers"])]
    if isinstance(value, dict):
        return {name: fill(inner, known) for name, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, known) for inner in value]
    if not isinstance(value, str):
        return value
    if whole := re.fullmatch(r"\{int:(\w+)\}", value):
        return int(known[whole[1]])
    value = re.sub(r"\{md5:([^}]*)\}", lambda found: md5(found[1]), value)
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[0]), value)


def matches(got: Any, want: Any) -> bool:
    """Whether an answer is the recorded one, types included: ``1`` is not ``"1"`` and ``true`` is not ``"true"``."""
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and all(matches(got[key], want[key]) for key in want)
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(map(matches, got, want))
    match want:
        case "<text>":
            return isinstance(got, str) and got != ""
        case "<digits>":
            return isinstance(got, str) and re.fullmatch("[0-9]+", got) is not None
        case "<integer>":
            return isinstance(got, int) and not isinstance(got, bool)
        case str() if want.startswith("<match:"):
            return isinstance(got, str) and re.fullmatch(want[len("<match:") : -1], got) is not None
        case _:
            return type(got) is type(want) and got == want


def dig(answer: Any, place: str) -> Any:
    """The value at a path such as ``body.data.token`` or ``body.sessions.0.id``."""
    for step in place.split("."):
        answer = answer[int(step)] if isinstance(answer, list) else answer[step]
    return answer
