"""The callers of the drill: owners of numbers, and strangers with a network of their own."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from drill.target import COOLDOWN, Target
from support.app import App, Reply, fresh_number
from support.patience import until_answered

PASSWORD = "an honest password"
NETWORKS = 10
"""How many networks the attacker has."""


def fresh_place() -> str:
    """A /24 that no other caller has."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}"


@dataclass
class Caller:
    """A caller in a network of their own, unless it is named. With a ``token``, every call shows its session."""

    app: App
    address: str = field(default_factory=lambda: f"{fresh_place()}.7")
    token: str = ""

    @property
    def network(self) -> str:
        """The /24 around the address."""
        return f"{self.address.rpartition('.')[0]}.0/24"

    @property
    def neighbour(self) -> "Caller":
        """Another caller in the same /24."""
        return Caller(self.app, f"{self.address.rpartition('.')[0]}.{8 + secrets.randbelow(240)}")

    async def call(self, method: str, path: str, body: dict[str, Any]) -> Reply:
        """Call the gateway, again when the machine is busy: a 503 says nothing about a limit."""
        headers = {"X-Forwarded-For": self.address}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return await until_answered(lambda: self.app.call(method, path, json=body, headers=headers))

    async def ask(self, number: str, purpose: str) -> Reply:
        return await self.call("POST", "/v2/verifications", {"phone": number, "purpose": purpose})

    async def ask_tel(self, number: str, action: str) -> Reply:
        return await self.call("POST", "/actions/sms", {"tel": tel(number), "action": action})

    async def check(self, number: str, purpose: str, code: str) -> Reply:
        body = {"phone": number, "purpose": purpose, "code": code}
        return await self.call("POST", "/v2/verifications/check", body)

    async def guess(self, number: str, purpose: str, tries: int = 6) -> None:
        """Enter codes at the same moment that are wrong but for one chance in a million."""
        codes = [f"{secrets.randbelow(10**6):06d}" for _ in range(tries)]
        replies = await asyncio.gather(*(self.check(number, purpose, code) for code in codes))
        assert {reply.status for reply in replies} == {403}

    async def log_in(self, number: str, password: str = PASSWORD) -> Reply:
        return await self.call("POST", "/v2/sessions", {"phone": number, "password": password})


def tel(number: str) -> dict[str, int]:
    """A number as ``tel`` writes it."""
    return {"dialCode": 86, "number": int(number)}


def strangers(target: Target, count: int = NETWORKS) -> list[Caller]:
    return [Caller(target.app) for _ in range(count)]


async def registered(target: Target, owner: Caller | None = None) -> tuple[str, Caller]:
    """A number with an account, whose cooldown is over, and its owner, who has a network of their own unless named."""
    number, owner = fresh_number(), owner or Caller(target.app)
    assert (await owner.ask(number, "sign_up")).status == 202
    checked = await owner.check(number, "sign_up", await target.app.code(number))
    reply = await owner.call("POST", "/v2/accounts", {"ticket": checked.body["ticket"], "password": PASSWORD})
    assert reply.status == 201, reply.body
    await target.age(number, COOLDOWN)
    return number, owner
