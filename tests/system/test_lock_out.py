"""Attacks on the availability of numbers, and on what a used code is good for, on real servers and processes.

The attacker has ten networks and 24 hours of patience: time passes by moving the rows of a number into the past. A few
victims are attacked in ``make test``; ``make attacks`` attacks enough of them for 1,000 tries of their owners.
"""

import itertools
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from stack.system import Stack
from support.app import App, Reply, fresh_number, md5
from support.database import Tables

LONG = os.environ.get("ATTACKS") == "long"
VICTIMS = 84 if LONG else 1
STRANGERS = 1000 if LONG else 30
ROUNDS = 4
"""In 24 hours, so that an owner needs four codes a day: what strangers leave of ten."""
HOUR = 3600
COOLDOWN = 61
PASSWORD = "an honest password"


@dataclass
class Caller:
    """A caller in a network of their own."""

    app: App
    address: str = field(default_factory=lambda: f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7")

    async def call(self, method: str, path: str, body: dict[str, Any]) -> Reply:
        return await self.app.call(method, path, json=body, headers={"X-Forwarded-For": self.address})

    async def ask(self, number: str, purpose: str) -> Reply:
        return await self.call("POST", "/v2/verifications", {"phone": number, "purpose": purpose})

    async def check(self, number: str, purpose: str, code: str) -> Reply:
        body = {"phone": number, "purpose": purpose, "code": code}
        return await self.call("POST", "/v2/verifications/check", body)


@pytest.fixture(scope="module")
async def public(system: Stack) -> AsyncIterator[App]:
    """A gateway behind a trusted proxy, before services with limits on callers."""
    on = {"CALLER_LIMITS": "on"}
    sms = system.launch("sms-service", label="attacked-sms-service", env=on)
    auth = system.launch("auth-service", label="attacked-auth-service", env=on)
    env = {"SMS_URL": sms.url, "AUTH_URL": auth.url, "TRUSTED_PROXIES": "127.0.0.1"}
    gateway = system.launch("gateway", label="attacked-gateway", env=env)
    async with App.connect(gateway.url, system.url("sms-service")) as app:
        yield app
    for process in (gateway, auth, sms):
        process.stop()


async def registered(app: App) -> tuple[str, Caller]:
    """A number with an account, and its owner."""
    number, owner = fresh_number(), Caller(app)
    assert (await owner.ask(number, "sign_up")).status == 202
    checked = await owner.check(number, "sign_up", await app.code(number))
    reply = await owner.call("POST", "/v2/accounts", {"ticket": checked.body["ticket"], "password": PASSWORD})
    assert reply.status == 201, reply.body
    return number, owner


async def attack(app: App, tables: Tables, number: str, strangers: list[Caller]) -> None:
    """Use up whatever strangers can: sends, tries at codes, and log-ins. Every purpose and dialect counts together."""
    purposes = itertools.cycle(("reset_password", "sign_in"))
    for stranger, purpose in zip(strangers, purposes, strict=False):
        sent = await stranger.ask(number, purpose)
        if sent.status == 202:
            await app.code(number)
            await tables.age(number, COOLDOWN)
        await guess(number, stranger, purpose)
        for _ in range(2):
            log_in = {"tel": {"dialCode": 86, "number": int(number)}, "password": "a wrong guess"}
            assert (await stranger.call("POST", "/users/signin", log_in)).status == 403


async def guess(number: str, stranger: Caller, purpose: str, tries: int = 6) -> None:
    """Enter codes that are wrong but for one chance in a million."""
    for _ in range(tries):
        code = f"{secrets.randbelow(10**6):06d}"
        assert (await stranger.check(number, purpose, code)).status == 403


async def sign_in(app: App, number: str, owner: Caller, strangers: list[Caller]) -> list[int]:
    """The owner logs in with a code of ``native``."""
    sent = await owner.ask(number, "sign_in")
    code = await app.code(number) if sent.status == 202 else "000000"
    for stranger in strangers:
        await guess(number, stranger, "sign_in", tries=1)
    checked = await owner.check(number, "sign_in", code)
    entered = await owner.call("POST", "/v2/sessions", {"ticket": checked.body.get("ticket", "")})
    return [sent.status == 202, checked.status == 200 and entered.status == 200]


async def reset_in_maitian(app: App, number: str, owner: Caller, strangers: list[Caller]) -> list[int]:
    sent = await owner.call("POST", "/v1/user/forgot_password.json", {"source": "app", "phone_number": number})
    code = await app.code(number) if "error_code" not in sent.body else "000000"
    for stranger in strangers:
        await guess(number, stranger, "reset_password", tries=1)
    fields = {"source": "app", "phone_number": number, "verify_code": code, "password": md5(PASSWORD)}
    reset = await owner.call("POST", "/v1/user/reset_password.json", fields)
    return ["error_code" not in sent.body, "error_code" not in reset.body]


async def reset_in_tel(app: App, number: str, owner: Caller, strangers: list[Caller]) -> list[int]:
    tel = {"dialCode": 86, "number": int(number)}
    sent = await owner.call("POST", "/actions/sms", {"tel": tel, "action": "resetPassword"})
    code = await app.code(number) if sent.status == 200 else "000000"
    for stranger in strangers:
        await guess(number, stranger, "reset_password", tries=1)
    reset = await owner.call("PUT", "/users/password", {"tel": tel, "password": PASSWORD, "captcha": code})
    return [sent.status == 200, reset.status == 200]


USES = (sign_in, reset_in_maitian, reset_in_tel, sign_in)


async def log_in(number: str, owner: Caller) -> bool:
    reply = await owner.call("POST", "/v2/sessions", {"phone": number, "password": PASSWORD})
    return reply.status == 200


@pytest.mark.timeout(3600 if LONG else 180)
async def test_ten_networks_and_a_day_keep_no_owner_from_a_code_a_reset_or_a_log_in(
    public: App, tables: Tables
) -> None:
    succeeded: Counter[bool] = Counter()
    for _ in range(VICTIMS):
        number, owner = await registered(public)
        await tables.age(number, COOLDOWN)
        strangers = [Caller(public) for _ in range(10)]
        for turn in range(ROUNDS):
            await attack(public, tables, number, strangers)
            succeeded.update(map(bool, await USES[turn](public, number, owner, strangers)))
            succeeded[await log_in(number, owner)] += 1
            await tables.age(number, 6 * HOUR)

    assert succeeded == {True: 3 * ROUNDS * VICTIMS}


@pytest.mark.timeout(600 if LONG else 180)
async def test_ten_networks_delay_a_registration_by_two_hours_at_most(public: App, tables: Tables) -> None:
    for _ in range(10 if LONG else 1):
        number, honest, delay = fresh_number(), Caller(public), 0
        strangers = [Caller(public) for _ in range(10)]
        for stranger in strangers * 2:
            if (await stranger.ask(number, "sign_up")).status == 202:
                await public.code(number)
                await tables.age(number, COOLDOWN)
                await guess(number, stranger, "sign_up")
        while not await registers(public, number, honest, strangers):
            delay += 600
            assert delay <= 2 * HOUR
            await tables.age(number, 600)


async def registers(app: App, number: str, honest: Caller, strangers: list[Caller]) -> bool:
    """Whether the honest caller registers now. Strangers ask before them, and guess before they enter the code."""
    for stranger in strangers:
        if (await stranger.ask(number, "sign_up")).status == 202:
            await app.code(number)
            return False  # the honest caller is in the cooldown, for a minute
    if (await honest.ask(number, "sign_up")).status != 202:
        return False
    code = await app.code(number)
    for stranger in strangers:
        await guess(number, stranger, "sign_up", tries=2)
    return (await honest.check(number, "sign_up", code)).status == 200


@dataclass(frozen=True)
class Theft:
    """A used code, and the ticket that its owner got for it."""

    number: str
    code: str
    ticket: str


Thief = Callable[[Caller, Theft], Awaitable[Reply]]


def check_again(purpose: str) -> Thief:
    return lambda thief, theft: thief.check(theft.number, purpose, theft.code)


async def log_in_with_ticket(thief: Caller, theft: Theft) -> Reply:
    return await thief.call("POST", "/v2/sessions", {"ticket": theft.ticket})


async def register_in_tel(thief: Caller, theft: Theft) -> Reply:
    tel = {"dialCode": 86, "number": int(theft.number)}
    return await thief.call("POST", "/users", {"tel": tel, "password": "a thief's own", "captcha": theft.code})


async def verify_in_maitian(thief: Caller, theft: Theft) -> Reply:
    fields = {"source": "app", "phone_number": theft.number, "verify_code": theft.code}
    reply = await thief.call("POST", "/v1/user/register/verify.json", fields)
    return Reply(200 if "data" in reply.body else 403, reply.headers, reply.body)


async def register_with_ticket(thief: Caller, theft: Theft) -> Reply:
    return await thief.call("POST", "/v2/accounts", {"ticket": theft.ticket})


async def reset_in_native(thief: Caller, theft: Theft) -> Reply:
    return await thief.call("PUT", "/v2/password", {"ticket": theft.ticket, "password": "a thief's own"})


THIEVES: dict[str, tuple[Thief, ...]] = {
    "sign_in": (check_again("sign_in"), log_in_with_ticket),
    "sign_up": (check_again("sign_up"), register_with_ticket, register_in_tel, verify_in_maitian),
    "reset_password": (check_again("reset_password"), reset_in_native),
}


async def use(app: App, number: str, owner: Caller, purpose: str) -> Theft:
    """The owner asks for a code and uses it."""
    assert (await owner.ask(number, purpose)).status == 202
    code = await app.code(number)
    ticket = (await owner.check(number, purpose, code)).body["ticket"]
    spend = {
        "sign_in": ("POST", "/v2/sessions", {"ticket": ticket}),
        "sign_up": ("POST", "/v2/accounts", {"ticket": ticket}),
        "reset_password": ("PUT", "/v2/password", {"ticket": ticket, "password": PASSWORD}),
    }
    assert (await owner.call(*spend[purpose])).status in {200, 201}
    return Theft(number, code, ticket)


@pytest.mark.timeout(900 if LONG else 180)
@pytest.mark.parametrize("purpose", THIEVES)
async def test_a_used_code_or_ticket_lets_nobody_else_in(public: App, tables: Tables, purpose: str) -> None:
    if purpose == "sign_up":
        number, owner = fresh_number(), Caller(public)
    else:
        number, owner = await registered(public)
        await tables.age(number, COOLDOWN)
    theft = await use(public, number, owner, purpose)
    outcomes: Counter[int] = Counter()
    for turn in range(STRANGERS):
        thief = THIEVES[purpose][turn % len(THIEVES[purpose])]
        outcomes[(await thief(Caller(public), theft)).status] += 1

    assert outcomes == {403: STRANGERS}
