"""Recordings for shadow runs: an app that writes down its calls with their answers, and users who make them."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from support.app import App, Reply, fresh_address, fresh_number
from support.contract_cases import CASES, CasePlayer, read_case
from support.patience import until_answered

USERS_AT_ONCE = 8
BUSY = 503
SKIPPED_STEPS = {"age", "ban", "via", "within"}
"""What a copy would have to be prepared for, step by step."""
MATCHED_WITHIN = 30.0
FIRST = [
    CASES / f"{name}.json"
    for name in (
        *("maitian/register-and-log-in", "maitian/20000-wrong-password", "native/register-and-log-in"),
        *("register_page/form", "tel/register", "phone_info/register"),
    )
]
"""Each recording has these calls of every contract."""


@dataclass(frozen=True)
class RecordingApp(App):
    """Adds each call with its answer to ``recording``, except those that the system was too busy for."""

    recording: list[dict[str, Any]] = field(default_factory=list)
    address: str = field(default_factory=fresh_address)

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        target, headers, body = as_sent(path, **options)
        sent, url = {**headers, "X-Forwarded-For": self.address}, URL(self.gateway + target)
        async with self.http.request(
            method, url, headers=sent, data=body or None, skip_auto_headers=["Content-Type"]
        ) as response:
            content = await response.text()
            parsed = json.loads(content) if "json" in response.content_type and content else content
            reply = Reply(response.status, response.headers, parsed)
        if reply.status != BUSY:
            answer = {"status": reply.status, "headers": dict(reply.headers), "body": content}
            call = {
                "address": self.address,
                "method": method,
                "path": url.raw_path_qs,
                "headers": headers,
                "body": body,
            }
            self.recording.append({**call, "response": answer})
        return reply


def as_sent(path: str, **options: Any) -> tuple[str, dict[str, str], str]:
    """Target, headers and body of a request with the options of aiohttp."""
    headers = dict(options.get("headers", {}))
    target = path + (f"?{urlencode(options['params'])}" if options.get("params") else "")
    if options.get("json") is not None:
        return target, {"Content-Type": "application/json", **headers}, json.dumps(options["json"])
    data = options.get("data", "")
    if isinstance(data, Mapping):
        return target, {"Content-Type": "application/x-www-form-urlencoded", **headers}, urlencode(data)
    return target, headers, data


def recordable_cases() -> list[Path]:
    """The contract cases that need nothing but calls and codes."""
    return [path for path in sorted(CASES.glob("*/*.json")) if not _needs_more(read_case(path)["steps"])]


def _needs_more(steps: Sequence[Mapping[str, Any]]) -> bool:
    return any(SKIPPED_STEPS & step.keys() for step in steps)


async def record(app: App, calls: int, seed: int) -> list[dict[str, Any]]:
    """At least so many calls of users of all contracts, in the order of their answers."""
    recording: list[dict[str, Any]] = []
    cases = itertools.chain(FIRST, _random_cases(seed))

    async def user() -> None:
        while len(recording) < calls:
            recorder = RecordingApp(app.http, app.gateway, app.sms, recording=recording)
            await _play(next(cases), recorder, app)

    async with asyncio.TaskGroup() as group:
        for _ in range(USERS_AT_ONCE):
            group.create_task(user())
    return recording


def _random_cases(seed: int) -> Iterator[Path | str]:
    choose, cases = random.Random(seed), [*recordable_cases(), *CONTACTS]
    while True:
        yield choose.choice(cases)


async def _play(case: "Path | str", recorder: RecordingApp, app: App) -> None:
    if isinstance(case, str):
        await _match_contacts(case, recorder, app)
        return
    player = CasePlayer({"": recorder}, None)
    for step in read_case(case)["steps"]:
        if "request" not in step:
            await player.prepare(step)
            continue
        for _ in range(step.get("times", 1)):
            reply = await until_answered(lambda step=step: player.send(step))
        player.keep(step, reply)


CONTACTS = ("maitian contacts", "native contacts")


async def _match_contacts(contract: str, recorder: RecordingApp, app: App) -> None:
    """Two users of whom one finds the other. The calls that wait until the directory knows both are not recorded."""
    number, other, third = fresh_number(), fresh_number(), fresh_number()
    me = await recorder.register(number, "secret123")
    await recorder.register(other, "secret123")
    numbers = [other, third, number]
    async with asyncio.timeout(MATCHED_WITHIN):
        while not (await app.check_contact(me["userId"], me["token"], numbers)).body["data"]:
            await asyncio.sleep(0.1)
    if contract == CONTACTS[0]:
        await recorder.check_contact(me["userId"], me["token"], numbers)
    else:
        headers = {"Authorization": f"Bearer {me['token']}"}
        await recorder.call("POST", "/v2/contacts/match", headers=headers, json={"phones": numbers})


def write(path: Path, recording: Sequence[Mapping[str, Any]]) -> None:
    """Write a recording as its format has it."""
    path.write_text("".join(json.dumps(call, ensure_ascii=False) + "\n" for call in recording))
