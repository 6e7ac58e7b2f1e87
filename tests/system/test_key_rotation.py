"""Every key ring and token is replaced under load, a process at a time, and no client loses anything."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from stack.keys import OPERATOR_KEY, RINGS, SECRETS, SECRETS_OF
from stack.services import PROGRAMS
from stack.system import Stack
from support.app import App, Reply, fresh_number

from shared.encoding import from_base64url

PASSWORD = "correct horse"
ROTATED = [name for name in SECRETS if name not in {"PHONE_KEY", OPERATOR_KEY}]
"""The key of references stays: the directory and the limits are keyed by it (docs/security/key-rotation.md)."""

LOAD = {
    "GET /v2/me",
    "POST /v2/sessions",
    "POST /v2/sessions/refresh",
    "POST /v2/contacts/match",
    "POST /v2/verifications",
    "POST /v2/verifications/check",
    "POST /v2/accounts",
    "POST /v1/explain",
}
MIN_CALLS = 10
"""Of each kind of call in flight, over all restarts."""

PAUSE_SECONDS = 0.02
"""How long a client of the load rests after each call, which leaves the processor to restarts and to other tests."""

BUSY_SECONDS = 120
"""How long a call is repeated while a process starts on a busy machine."""


@dataclass(frozen=True)
class Replacement:
    """The old and the new value of each secret, and how both are configured at each step."""

    old: dict[str, str]
    new: dict[str, str]

    @classmethod
    def of(cls, environ: dict[str, str]) -> "Replacement":
        new = {name: ("2:" if name.endswith(RINGS) else "") + secrets.token_hex(32) for name in ROTATED}
        return cls({name: environ[name] for name in ROTATED}, new)

    def steps(self) -> list[dict[str, str]]:
        """Add the new one, move it to the front, remove the old one."""
        old, new = self.old, self.new
        return [
            {name: f"{old[name]},{new[name]}" for name in ROTATED},
            {name: f"{new[name]},{old[name]}" for name in ROTATED},
            new,
        ]


NOT_DONE = {408, 503}
"""The statuses of a call that did nothing: its connection was closed as idle, or a process was away."""


@dataclass
class Client:
    """A client that repeats a call that did nothing, and takes any other answer for what it is."""

    app: App
    served: dict[str, int] = field(default_factory=dict)
    """How often each kind of call was answered."""

    async def call(self, method: str, path: str, token: str = "", **fields: Any) -> Reply:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.until_served(
            f"{method} {path}", lambda: self.app.call(method, path, json=fields or None, headers=headers)
        )

    async def until_served(self, kind: str, call: Callable[[], Awaitable[Reply]]) -> Reply:
        async with asyncio.timeout(BUSY_SECONDS):
            while True:
                try:
                    reply = await call()
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
                    continue
                if reply.status not in NOT_DONE:
                    self.served[kind] = self.served.get(kind, 0) + 1
                    await asyncio.sleep(PAUSE_SECONDS)
                    return reply
                await asyncio.sleep(0.05)

    async def challenge(self, number: str) -> str:
        """The challenge of a code that is requested."""
        sent = await self.call("POST", "/v2/verifications", phone=number, purpose="sign_up")
        assert sent.status == 202, sent.body
        return str(sent.body["challenge"])

    async def pending(self, number: str) -> tuple[str, str]:
        """A challenge and its code. The inbox must not restart meanwhile."""
        return await self.challenge(number), await self.app.code(number)

    async def ticket(self, challenge: str, code: str) -> str:
        checked = await self.call("POST", "/v2/verifications/check", challenge=challenge, code=code)
        assert checked.status == 200, checked.body
        return str(checked.body["ticket"])

    async def register(self, ticket: str) -> dict[str, Any]:
        registered = await self.call("POST", "/v2/accounts", ticket=ticket, password=PASSWORD)
        assert registered.status == 201, registered.body
        return dict(registered.body)


@dataclass
class Carried:
    """What clients hold while processes restart: each thing is good for one use afterwards."""

    client: Client
    user: dict[str, Any]
    number: str
    challenge: tuple[str, str]
    ticket: str
    sealed: tuple[str, str]

    @classmethod
    async def collect(cls, client: Client, number: str, user: dict[str, Any]) -> "Carried":
        challenge = await client.pending(fresh_number())
        ticket = await client.ticket(*await client.pending(fresh_number()))
        other = fresh_number()
        sent = await client.call("POST", "/v1/user/sendRegisterMessage", phone=other)
        sealed = (str(sent.body["result"]), await client.app.code(other))
        return cls(client, user, number, challenge, ticket, sealed)

    async def use(self) -> None:
        client, token = self.client, self.user["access_token"]
        me = await client.call("GET", "/v2/me", token)
        assert (me.status, me.body["phone"]) == (200, "+86" + self.number)
        refreshed = await client.call("POST", "/v2/sessions/refresh", refresh_token=self.user["refresh_token"])
        assert refreshed.status == 200, refreshed.body
        self.user |= refreshed.body
        logged_in = await client.call("POST", "/v2/sessions", phone=self.number, password=PASSWORD)
        assert logged_in.status == 200, logged_in.body
        await client.register(self.ticket)
        await client.register(await client.ticket(*self.challenge))
        phone_info, code = self.sealed
        fields = {"phoneInfo": phone_info, "code": code, "password": PASSWORD, "name": f"u{secrets.token_hex(6)}"}
        registered = await client.call("POST", "/v1/user/register", **fields)
        assert registered.body["success"] is True, registered.body


async def keep_session(client: Client, user: dict[str, Any], stop: asyncio.Event) -> None:
    """A client that asks for its account and refreshes its tokens, again and again."""
    while not stop.is_set():
        me = await client.call("GET", "/v2/me", user["access_token"])
        assert me.status == 200, me.body
        refreshed = await client.call("POST", "/v2/sessions/refresh", refresh_token=user["refresh_token"])
        assert refreshed.status == 200, refreshed.body
        user |= refreshed.body


async def keep_logging_in(client: Client, number: str, stop: asyncio.Event) -> None:
    """Log-ins of a user of their own: a user's oldest session ends when there are a hundred."""
    while not stop.is_set():
        logged_in = await client.call("POST", "/v2/sessions", phone=number, password=PASSWORD)
        assert logged_in.status == 200, logged_in.body


async def keep_matching(client: Client, token: str, number: str, stop: asyncio.Event) -> None:
    """Any session token serves: ``keep_session`` holds another one."""
    while not stop.is_set():
        matched = await client.call("POST", "/v2/contacts/match", token, phones=[number])
        assert matched.status == 200, matched.body


async def keep_registering(client: Client, stop: asyncio.Event) -> None:
    """New users. A code whose message was in an inbox that restarted is requested anew for another number."""
    while not stop.is_set():
        number = fresh_number()
        challenge = await client.challenge(number)
        try:
            code = await client.app.code(number)
        except (aiohttp.ClientError, AssertionError):
            continue
        await client.register(await client.ticket(challenge, code))


async def keep_explaining(client: Client, number: str, token: str, stop: asyncio.Event) -> None:
    """An operator, whose token is the old one until it is removed."""
    headers = {"Authorization": f"Bearer {token}"}

    async def explain() -> Reply:
        url = f"{client.app.sms}/v1/explain"
        async with client.app.http.post(url, json={"phone": number}, headers=headers) as response:
            return Reply(response.status, response.headers, await response.json())

    while not stop.is_set():
        assert (await client.until_served("POST /v1/explain", explain)).status == 200


@pytest.fixture(scope="module")
def stack() -> Any:
    """A system of its own: its processes restart with other secrets."""
    with Stack.private(environ={"CALLER_LIMITS": "off", "ENVIRONMENT": "development"}) as stack:
        stack.start()
        yield stack


@asynccontextmanager
async def under_load(client: Client, number: str, other: str, operator_to_sms_token: str) -> AsyncIterator[None]:
    """Calls of every kind in flight, until the block ends. A refusal other than "busy" fails the test."""
    stop = asyncio.Event()
    logged_in = [await client.call("POST", "/v2/sessions", phone=number, password=PASSWORD) for _ in range(2)]
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_session(client, dict(logged_in[0].body), stop))
        group.create_task(keep_logging_in(client, other, stop))
        group.create_task(keep_matching(client, logged_in[1].body["access_token"], number, stop))
        group.create_task(keep_registering(client, stop))
        group.create_task(keep_explaining(client, number, operator_to_sms_token, stop))
        yield
        stop.set()


async def restart(stack: Stack, name: str, values: dict[str, str]) -> None:
    """Restart a process with its own secrets; what it has accepted it answers before."""
    own = {secret: values[secret] for secret in SECRETS_OF[name] if secret in values}
    await asyncio.to_thread(stack.services[name].stop)
    await asyncio.to_thread(stack.launch, name, env=own)


@pytest.mark.timeout(400)
async def test_every_ring_and_token_is_replaced_under_load(stack: Stack) -> None:
    replacement = Replacement.of(stack.environ)
    tokens = [replacement.old, replacement.old, replacement.new]
    orders = [list(PROGRAMS), list(reversed(PROGRAMS)), [*list(PROGRAMS)[2:], *list(PROGRAMS)[:2]]]
    async with App.connect(stack.url("gateway"), stack.url("sms-service")) as app:
        client, number, other = Client(app), fresh_number(), fresh_number()
        for each in (number, other):
            await client.register(await client.ticket(*await client.pending(each)))
        user = dict((await client.call("POST", "/v2/sessions", phone=number, password=PASSWORD)).body)
        for values, operator, order in zip(replacement.steps(), tokens, orders, strict=True):
            carried = await Carried.collect(client, number, user)
            async with under_load(client, number, other, operator["OPERATOR_TO_SMS_TOKEN"]):
                for name in order:
                    await restart(stack, name, values)
            await carried.use()
            user = carried.user
        keys = (await client.call("GET", "/.well-known/jwks.json")).body["keys"]
        url = f"{stack.url('auth-service')}/v1/sessions/resolve"
        statuses = []
        for step in (replacement.old, replacement.new):
            headers = {"Authorization": f"Bearer {step['GATEWAY_TO_AUTH_TOKEN']}"}
            async with app.http.post(url, json={"token": user["access_token"]}, headers=headers) as response:
                statuses.append(response.status)

    assert statuses == [401, 200]
    assert json.loads(from_base64url(user["access_token"].split(".")[0]))["kid"] in {key["kid"] for key in keys}
    assert {kind: count for kind, count in client.served.items() if kind in LOAD and count < MIN_CALLS} == {}
    assert client.served.keys() >= LOAD
    refused = [name for name, service in stack.services.items() if "internal_call.refused" in service.logs()]
    assert refused == ["auth-service"]  # the old token above
