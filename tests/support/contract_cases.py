"""Contract cases: recorded exchanges with placeholders for the values that vary.

A case is a JSON file with a title and a list of steps. A step is one of

- ``{"request": {...}, "response": {...}, "keep": {"name": "body.path"}}``: call the gateway and compare the response;
- ``{"read_code": "name", "number": "{number}"}``: read the newest code to a number from the SMS inbox;
- ``{"age": seconds, "number": "{number}"}``: let time pass for a number;
- ``{"ban": "{number}"}``: ban the account of a number.

Placeholders in requests: ``{number}``, ``{other}`` and ``{third}`` are fresh numbers, ``{address}`` is a fresh client
address, ``{name}`` is a kept value, ``{int:name}`` is one as a JSON number, ``{md5:text}`` is the md5 hex of a text,
and ``{"numbers": 3}`` is a list of three fresh numbers.

Placeholders in responses: the above, and ``"<text>"`` for any text that is not empty, ``"<digits>"`` for a text of
decimal digits, ``"<integer>"`` for a whole number, ``"<list>"`` for any list, ``"<match:...>"`` for a text that matches the expression. An object
``{"$fragment": "native/account", "nickname": "Anna"}`` is the JSON file of that name under ``fragments``, with the
other keys in place of the fragment's.

``keep`` remembers a value of the response. A path may end in ``~`` and an expression; its first group is kept then.

A request step may have options. ``"via": "orphan"`` calls a gateway that cannot reach its services; ``"via":
"switched"`` calls a gateway and an sms-service with caller limits on, revealed codes and the master code 909.
``"times": 3`` repeats the step. ``"within": 2`` repeats it until the response matches, for at most that many seconds
(longer on a busy machine).
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.app import App, Reply, fresh_address, fresh_number, md5, wrong
from support.database import Tables

CONTRACT_TESTS = Path(__file__).parents[1] / "contract"
CASES = CONTRACT_TESTS / "cases"
FRAGMENTS = CONTRACT_TESTS / "fragments"
BUSY_MACHINE_FACTOR = 6
"""The time limit of an eventual result is multiplied by this, because other load slows the services down."""
NUMBERS = ("number", "other", "third")


def read_case(path: Path) -> dict[str, Any]:
    """A case with its fragments expanded."""
    case: dict[str, Any] = expand(json.loads(path.read_text()))
    return case


def fragments() -> dict[str, dict[str, Any]]:
    """Every fragment by its name, such as ``native/account``."""
    return {
        path.relative_to(FRAGMENTS).with_suffix("").as_posix(): json.loads(path.read_text())
        for path in sorted(FRAGMENTS.rglob("*.json"))
    }


def expand(value: Any) -> Any:
    """A value with every fragment in place of the object that names it."""
    if isinstance(value, dict):
        inner = {name: expand(each) for name, each in value.items() if name != "$fragment"}
        return fragments()[value["$fragment"]] | inner if "$fragment" in value else inner
    return [expand(each) for each in value] if isinstance(value, list) else value


def fresh_values() -> dict[str, str]:
    """The values that a case can use before it has kept any."""
    known = {name: fresh_number() for name in NUMBERS} | {"address": fresh_address()}
    known["md5_of_number"] = md5(known["number"])
    return known


class CasePlayer:
    """Performs the steps of one case, and remembers the values it keeps."""

    def __init__(self, gateways: Mapping[str, App], tables: Tables) -> None:
        self.known = fresh_values()
        self._gateways = gateways
        self._tables = tables

    def gateway(self, step: Mapping[str, Any]) -> App:
        return self._gateways[step.get("via", "")]

    async def prepare(self, step: Mapping[str, Any]) -> None:
        """Perform a step that calls no gateway."""
        step = fill(step, self.known)
        if "read_code" in step:
            code = await self._gateways[""].code(step["number"])
            self.known[step["read_code"]] = code
            self.known["wrong_" + step["read_code"]] = wrong(code)
        elif "age" in step:
            await self._tables.age(step["number"], step["age"])
        else:
            await self._tables.ban(step["ban"])

    async def send(self, step: Mapping[str, Any]) -> Reply:
        """Send the request of a step."""
        request = fill(step["request"], self.known)
        body = {"params": request.get("query"), "json": request.get("json")}
        body["data"] = request.get("form") or request.get("raw")
        options = {name: value for name, value in body.items() if value is not None}
        headers = dict(request.get("headers", {}))
        return await self.gateway(step).call(request["method"], request["path"], headers=headers, **options)

    def keep(self, step: Mapping[str, Any], reply: Reply) -> None:
        """Remember the values that a step keeps. Raises ``LookupError`` if the response has none at that path."""
        for name, path in step.get("keep", {}).items():
            path, _, expression = path.partition("~")
            value = str(dig({"body": reply.body, "headers": reply.headers}, path))
            self.known[name] = re.search(expression, value)[1] if expression else value

    async def replay(self, step: Mapping[str, Any]) -> None:
        """Perform any step. Raises ``AssertionError`` if the response differs from the recorded one."""
        if "request" not in step:
            await self.prepare(step)
            return
        for _ in range(step.get("times", 1)):
            await self._replay_until_it_matches(step)

    async def _replay_until_it_matches(self, step: Mapping[str, Any]) -> None:
        end = time.monotonic() + step.get("within", 0) * BUSY_MACHINE_FACTOR
        while True:
            reply = await self.send(step)
            try:
                check(reply, fill(step["response"], self.known))
            except AssertionError:
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.05)
            else:
                self.keep(step, reply)
                return


def check(reply: Reply, expected: Mapping[str, Any]) -> None:
    """Compare a response with the recorded one, placeholders filled."""
    assert reply.status == expected["status"], reply.body
    if "body" in expected:
        assert matches(reply.body, expected["body"]), f"\n got {reply.body}\nwant {expected['body']}"
    headers = {"Cache-Control": "no-store"} | expected.get("headers", {})
    for name, value in headers.items():
        assert matches(reply.headers.get(name), value), f"{name} is {reply.headers.get(name)!r}"


def fill(value: Any, known: Mapping[str, str]) -> Any:
    """A value with every placeholder of a request in place of its value; unknown names stay as they are."""
    if isinstance(value, dict) and value.keys() == {"numbers"}:
        return [fresh_number() for _ in range(value["numbers"])]
    if isinstance(value, dict):
        return {name: fill(each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [fill(each, known) for each in value]
    if not isinstance(value, str):
        return value
    if whole := re.fullmatch(r"\{int:(\w+)\}", value):
        return int(known[whole[1]])
    value = re.sub(r"\{md5:([^}]*)\}", lambda match: md5(match[1]), value)
    return re.sub(r"\{(\w+)\}", lambda match: known.get(match[1], match[0]), value)


def matches(value: Any, expected: Any) -> bool:
    """Whether a value is the recorded one, with its type: ``1`` is not ``"1"``, and ``true`` is not ``"true"``."""
    if isinstance(expected, dict):
        same_keys = isinstance(value, dict) and value.keys() == expected.keys()
        return same_keys and all(matches(value[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return isinstance(value, list) and len(value) == len(expected) and all(map(matches, value, expected))
    match expected:
        case "<text>":
            return isinstance(value, str) and value != ""
        case "<digits>":
            return isinstance(value, str) and re.fullmatch("[0-9]+", value) is not None
        case "<list>":
            return isinstance(value, list)
        case "<integer>":
            return isinstance(value, int) and not isinstance(value, bool)
        case str() if expected.startswith("<match:"):
            return isinstance(value, str) and re.fullmatch(expected[len("<match:") : -1], value) is not None
        case _:
            return type(value) is type(expected) and value == expected


def dig(value: Any, path: str) -> Any:
    """The value at a path such as ``body.data.token`` or ``body.sessions.0.id``. Raises ``LookupError``."""
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value
