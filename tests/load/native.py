"""The operations of ``native`` for the bench: what a new app calls most, alone and beside others, and its servers."""

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from load.operations import CLIENTS, Bench, Job, must
from load.results import Result
from support.app import App, Reply

ALONE_SHARE = 0.1
"""The share of the requests that one client makes, one after the other."""
FORGOTTEN_SECONDS = 4.5
"""After this, the gateway has forgotten the sessions that it resolved."""


@dataclass
class NativeUser:
    """A user of an app that speaks ``native``, from the first code to the latest tokens."""

    app: App
    phone: str
    tokens: dict[str, Any] = field(default_factory=dict)

    async def call(self, expected: int, method: str, path: str, **options: Any) -> Reply:
        """A call that must be answered with this status."""
        reply = await self.app.call(method, path, **options)
        must(reply.status == expected, reply)
        return reply

    async def send_code(self) -> None:
        await self.call(202, "POST", "/v2/verifications", json={"phone": self.phone, "purpose": "sign_up"})

    async def sign_up(self, code: str, **fields: str) -> None:
        """Check the code, and open an account: without a password unless ``fields`` has one."""
        checked = {"phone": self.phone, "purpose": "sign_up", "code": code}
        reply = await self.call(200, "POST", "/v2/verifications/check", json=checked)
        reply = await self.call(201, "POST", "/v2/accounts", json={"ticket": reply.body["ticket"], **fields})
        self.tokens = reply.body["tokens"]

    async def log_in(self, password: str) -> None:
        await self.call(200, "POST", "/v2/sessions", json={"phone": self.phone, "password": password})

    async def refresh(self) -> None:
        fields = {"refresh_token": self.tokens["refresh_token"]}
        self.tokens = (await self.call(200, "POST", "/v2/sessions/refresh", json=fields)).body

    async def check_session(self) -> None:
        """``GET /v2/me``: how an app, or another service with the token of a user, asks whether the session lives."""
        await self.call(200, "GET", "/v2/me", headers=self._authorization)

    async def match(self, phones: Sequence[str]) -> int:
        """How many of these numbers are members."""
        reply = await self.call(200, "POST", "/v2/contacts/match", json={"phones": phones}, headers=self._authorization)
        return len(reply.body["matches"])

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}


def new_users(app: App, count: int) -> list[NativeUser]:
    """Users with numbers that no other operation of a run uses."""
    numbers = itertools.count(secrets.randbelow(10**8))
    return [NativeUser(app, f"+86137{next(numbers) % 10**8:08d}") for _ in range(count)]


async def code_of(user: NativeUser) -> str:
    """Wait for the message to a user, and return its code."""
    return await user.app.code(user.phone.removeprefix("+86"))


async def native_operations(bench: Bench) -> list[Result]:
    """Measure the operations beside others and one at a time, and session checks that no gateway remembers."""
    alone = max(20, int(bench.count * ALONE_SHARE))
    many, few = new_users(bench.app, bench.count), new_users(bench.app, alone)
    rows = []
    for users, clients, name in ((many, CLIENTS, ""), (few, 1, ", one client")):
        send = _each(users, NativeUser.send_code)
        rows.append(await bench.measure(f"send code{name}", len(users), clients, send, settle=True))
        codes = [await code_of(user) for user in users]

        async def sign_up(i: int, users: Sequence[NativeUser] = users, codes: Sequence[str] = codes) -> None:
            await users[i].sign_up(codes[i])

        title = f"check and sign-up, no password{name}"
        rows.append(await bench.measure(title, len(users), clients, sign_up, settle=True))
        refresh = _each(users, NativeUser.refresh)
        rows.append(await bench.measure(f"refresh{name}", len(users), clients, refresh, settle=True))
        await asyncio.sleep(FORGOTTEN_SECONDS)
        check = _each(users, NativeUser.check_session)
        rows.append(await bench.measure(f"GET /v2/me, not cached{name}", len(users), clients, check))
        again = _each(users[:1] * len(users), NativeUser.check_session)
        rows.append(await bench.measure(f"GET /v2/me, cached{name}", len(users), clients, again))
    await asyncio.sleep(FORGOTTEN_SECONDS)
    opaque = bench.check_session(bench.logins)
    rows.append(await bench.measure("session by opaque token, not cached", bench.logins, CLIENTS, opaque))
    return rows


def _each(users: Sequence[NativeUser], operation: Any) -> Job:
    """A job that performs the operation for each user in turn."""

    async def job(i: int) -> None:
        await operation(users[i])

    return job
