"""Recorded calls of one or more users, and a stand-in of Haoma that answers them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.dialect_registry import installed_dialects
from gateway.shadow.recorded.answers import ReceivedAnswer
from gateway.shadow.recorded.calls import CallTable
from gateway.shadow.recorded.requests import Request

TABLE = CallTable(installed_dialects())
NUMBER = "13800138000"
E164 = f"+86{NUMBER}"
DONE = {"success": "true"}

Respond = Callable[[Request], Awaitable[Any]]


def line(method: str, path: str, answer: Any, *, status: int = 200, time: float | None = None, **request: Any) -> bytes:
    """A line of a recording. ``request`` has ``json`` and ``headers``."""
    headers = {"Content-Type": "application/json", **request.get("headers", {})}
    body = json.dumps(request["json"]) if "json" in request else ""
    response = {"status": status, "body": json.dumps(answer)}
    call = {"method": method, "path": path, "headers": headers, "body": body, "response": response}
    return json.dumps(call | ({"time": time} if time else {})).encode() + b"\n"


def send_code(number: str = NUMBER, answer: Any = DONE) -> bytes:
    return line("GET", f"/v1/user/register/verify_code.json?source=a&phone_number={number}", answer)


def check_code(code: str, answer: Any, number: str = NUMBER) -> bytes:
    return line("GET", f"/v1/user/register/verify.json?source=a&phone_number={number}&verify_code={code}", answer)


class StandIn:
    """Answers requests from a function, and remembers them in their order."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self.requests: list[Request] = []
        self.running = self.most_running = 0

    async def send(self, request: Request) -> ReceivedAnswer | None:
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            body = await self._respond(request)
        finally:
            self.running -= 1
        return None if body is None else ReceivedAnswer(200, {}, json.dumps(body).encode())


class InboxOf:
    """An inbox with messages to come: ids and codes by number."""

    def __init__(self, messages: dict[str, list[tuple[str, str]]]) -> None:
        self._messages = messages

    async def newest(self, number: str, after: str, _: float) -> tuple[str, str] | None:
        return next((each for each in self._messages.get(number, []) if each[0] > after), None)


async def always(body: Any) -> Any:
    await asyncio.sleep(0)
    return body
