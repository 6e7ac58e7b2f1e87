"""Attacks with a used code, or with the ticket that its owner got for it, from other networks."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from drill.callers import PASSWORD, Caller, registered, tel
from drill.measures import Measured
from drill.target import Target
from support.app import Reply, fresh_number


@dataclass(frozen=True)
class Theft:
    """A used code, and the ticket that its owner got for it."""

    number: str
    code: str
    ticket: str


Thief = Callable[[Caller, Theft], Awaitable[Reply]]


async def reuse(target: Target) -> Measured:
    """Strangers try every way in, for each purpose."""
    statuses: Counter[int] = Counter()
    for purpose, thieves in THIEVES.items():
        theft = await _use(target, purpose)
        for turn in range(target.size.thieves):
            statuses[(await thieves[turn % len(thieves)](Caller(target.app), theft)).status] += 1
        target.progress(f"used codes to {purpose}: {dict(statuses)}")
    return Measured(statuses.total() - statuses[403], f"{statuses.total():,} strangers, each in another network")


async def _use(target: Target, purpose: str) -> Theft:
    """The owner asks for a code and uses it."""
    if purpose == "sign_up":
        number, owner = fresh_number(), Caller(target.app)
    else:
        number, owner = await registered(target)
    assert (await owner.ask(number, purpose)).status == 202
    code = await target.app.code(number)
    ticket = (await owner.check(number, purpose, code)).body["ticket"]
    spend = {
        "sign_in": ("POST", "/v2/sessions", {"ticket": ticket}),
        "sign_up": ("POST", "/v2/accounts", {"ticket": ticket}),
        "reset_password": ("PUT", "/v2/password", {"ticket": ticket, "password": PASSWORD}),
    }
    assert (await owner.call(*spend[purpose])).status in {200, 201}
    return Theft(number, code, ticket)


def check_again(purpose: str) -> Thief:
    return lambda thief, theft: thief.check(theft.number, purpose, theft.code)


async def log_in_with_ticket(thief: Caller, theft: Theft) -> Reply:
    return await thief.call("POST", "/v2/sessions", {"ticket": theft.ticket})


async def register_in_tel(thief: Caller, theft: Theft) -> Reply:
    fields = {"tel": tel(theft.number), "password": "a thief's own", "captcha": theft.code}
    return await thief.call("POST", "/users", fields)


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
