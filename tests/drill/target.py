"""The system that the drill attacks: with limits on callers, behind a trusted proxy, so that a header plays callers."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis
from stack.commands.policy import Line, collect
from stack.system import Stack
from support.app import App
from support.database import Tables

from contacts_service.fingerprints import Fingerprints

HOUR = 3600
COOLDOWN = 61
"""Seconds after which a number gets its next code."""


@dataclass(frozen=True)
class Size:
    """How much is tried, and the settings that differ from the defaults so that so much can use them up."""

    victims: int
    """Owners who are attacked for a day, each of whom then tries twelve times."""
    registrations: int
    """Numbers without an account that are attacked until someone else registers them."""
    codes: int
    """Codes that strangers try to end."""
    thieves: int
    """Strangers with a used code or ticket, for each purpose."""
    unseen: int
    """Numbers that an account looks up after its budget is spent, and then six accounts together."""
    steps: int
    """In how many steps a day of guesses and requests passes."""
    settings: Mapping[str, str]


SHORT = Size(
    victims=1,
    registrations=1,
    codes=2,
    thieves=12,
    unseen=100,
    steps=4,
    settings={
        "CALLER_SENDS_PER_NETWORK_HOUR": "20",
        "CALLER_LOOKUPS_PER_NETWORK_HOUR": "60",
        "CALLER_WRONG_CODES_PER_NETWORK_HOUR": "30",
        "CALLER_FAILED_LOGINS_PER_NETWORK": "20",
        "CONTACTS_BUDGET": "50",
        "CONTACTS_BUDGET_PER_HOUR": "1",
    },
)
"""For ``make test``: seconds."""
FULL = Size(victims=84, registrations=10, codes=100, thieves=1000, unseen=10_000, steps=12, settings={})
"""The default: the settings that a new system has, and 1,008 tries of owners."""


@dataclass(frozen=True)
class Target:
    """The running system, and what moves its time: the rows and keys of a caller or a number go into the past.

    ``discreet_app`` is a gateway beside it that discloses accounts only after proof.
    """

    app: App
    discreet_app: App
    tables: Tables
    redis: Redis
    size: Size
    policy: list[Line]
    fingerprints: Fingerprints
    progress: Callable[[str], None]
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def age(self, number: str, seconds: int) -> None:
        """Move what counts on a number into the past."""
        async with self._one_at_a_time:
            await self.tables.age(number, seconds)

    async def age_place(self, place: str, seconds: int) -> None:
        """Move what Redis counts on a place (a site, as text) into the past: limits that refill evenly."""
        async for key in self.redis.scan_iter(match=f"{{callers:{place}}}:*", count=1000):
            left_ms = await self.redis.pttl(key) - 1000 * seconds
            if left_ms <= 0:
                await self.redis.delete(key)
            else:
                full_at = int(await self.redis.get(key)) - 1_000_000 * seconds
                await self.redis.set(key, full_at, px=left_ms)

    def contact_budget_of(self, number: str) -> str:
        """The key of the budget of a user's number."""
        return f"contacts:{self.fingerprints.owner(self.tables.ref(number))}"


@asynccontextmanager
async def attacked(stack: Stack, size: Size, progress: Callable[[str], None]) -> AsyncIterator[Target]:
    """Start a gateway and services with the settings of this size beside those of the stack, until the block ends."""
    settings = {"CALLER_LIMITS": "on", "CALLER_ALLOW_LIST": "", "TRUSTED_PROXIES": "127.0.0.0/8", **size.settings}
    urls: dict[str, str] = {}
    async with AsyncExitStack() as exits:
        for name, variable in (("sms-service", "SMS"), ("auth-service", "AUTH"), ("contacts-service", "CONTACTS")):
            service = stack.launch(name, label=f"attacked-{name}", env=settings)
            exits.callback(service.stop)
            urls[f"{variable}_URL"] = service.url
        apps = list[App]()
        for label, more in (("attacked-gateway", {}), ("discreet-gateway", {"ACCOUNT_DISCLOSURE": "after_proof"})):
            gateway = stack.launch("gateway", label=label, env={**settings, **urls, **more})
            exits.callback(gateway.stop)
            apps.append(await exits.enter_async_context(App.connect(gateway.url, stack.url("sms-service"))))
        environ = {**stack.environ, **settings}
        tables = await exits.enter_async_context(Tables.connect(stack.addresses["POSTGRES_URL"], environ["PHONE_KEY"]))
        redis = Redis.from_url(stack.addresses["REDIS_URL"], decode_responses=True)
        exits.push_async_callback(redis.aclose)
        secret = bytes.fromhex(environ["PHONE_KEY"])
        yield Target(*apps, tables, redis, size, collect({**os.environ, **environ}), Fingerprints(secret, 26), progress)
