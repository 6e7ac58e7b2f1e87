"""A mobile app for the tests: it calls the gateway and reads codes from the SMS inbox."""

import hashlib
import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

_numbers = itertools.count(secrets.randbelow(10**9))


def fresh_number() -> str:
    """A mainland mobile number in national digits that no other test uses."""
    return f"1{3 + next(_numbers) % 7}{next(_numbers) % 10**9:09d}"


def fresh_address() -> str:
    """An address in a network that no other test uses; 2001:db8::/32 is reserved for documentation."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


def md5(password: str) -> str:
    """A password as ``maitian`` sends it."""
    return hashlib.md5(password.encode()).hexdigest()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    body: Any


@dataclass(frozen=True)
class App:
    """Speaks ``maitian``; ``call`` speaks anything."""

    http: aiohttp.ClientSession
    gateway: str
    sms: str
    spread: bool = False  # every request from another address, for a gateway that trusts the header
    read: dict[str, str] = field(default_factory=dict)  # the last message read, by number

    @classmethod
    @asynccontextmanager
    async def connect(cls, gateway: str, sms: str, *, spread: bool = False) -> AsyncIterator["App"]:
        connector = aiohttp.TCPConnector(limit=300, keepalive_timeout=5)  # the gateway closes after 15 s
        timeout = aiohttp.ClientTimeout(total=60)
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=jar) as http:
            yield cls(http, gateway, sms, spread)

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        """Send any request to the gateway. The body is parsed if the response says it is JSON."""
        if self.spread:
            options["headers"] = {"X-Forwarded-For": fresh_address(), **options.get("headers", {})}
        async with self.http.request(method, self.gateway + path, **options) as response:
            body = await response.json() if "json" in response.content_type else await response.text()
            return Reply(response.status, response.headers, body)

    async def get(self, path: str, **query: str) -> Reply:
        return await self.call("GET", path, params={"source": "test", **query})

    async def post(self, path: str, **fields: Any) -> Reply:
        return await self.call("POST", path, json={"source": "test", **fields})

    async def send_code(self, number: str) -> Reply:
        return await self.get("/v1/user/register/verify_code.json", phone_number=number)

    async def verify(self, number: str, code: str) -> Reply:
        return await self.get("/v1/user/register/verify.json", phone_number=number, verify_code=code)

    async def new_user(self, number: str, password: str, ticket: str) -> Reply:
        return await self.post("/v1/user/register/new_user.json", phone_number=number, pwd=password, tmp_token=ticket)

    async def log_in(self, number: str, password: str) -> Reply:
        return await self.post("/v1/user/login.json", phone_number=number, password=md5(password))

    async def forgot(self, number: str) -> Reply:
        return await self.get("/v1/user/forgot_password.json", phone_number=number)

    async def reset(self, number: str, code: str, password: str) -> Reply:
        fields = {"phone_number": number, "verify_code": code, "password": md5(password)}
        return await self.post("/v1/user/reset_password.json", **fields)

    async def check_contact(self, user_id: int, token: str, numbers: list[Any]) -> Reply:
        fields = {"userId": user_id, "token": token, "phoneNumbers": numbers}
        return await self.post("/v1/user/register/check_contact.json", **fields)

    async def message(self, number: str, *, after: str | None = None, wait: int = 25) -> dict[str, Any]:
        """Wait for the newest message to a number."""
        query = {"to": f"+86{number}", "wait": str(wait)} | ({"after": after} if after else {})
        async with self.http.get(f"{self.sms}/inbox/messages/latest", params=query) as response:
            assert response.status == 200, f"no message arrived: {response.status}"
            message: dict[str, Any] = await response.json()
            return message

    async def code(self, number: str) -> str:
        """Wait for a message to a number that was not read before, and return its code."""
        message = await self.message(number, after=self.read.get(number))
        self.read[number] = message["id"]
        return str(message["code"])

    async def ticket(self, number: str) -> str:
        """Request a registration code and exchange it for a ``tmp_token``."""
        assert (await self.send_code(number)).body == {"success": "true"}
        verified = await self.verify(number, await self.code(number))
        return str(verified.body["data"]["tmp_token"])

    async def register(self, number: str, password: str) -> dict[str, Any]:
        """Register a number and return the user."""
        reply = await self.new_user(number, password, await self.ticket(number))
        assert reply.body.get("success") == "true", reply.body
        user: dict[str, Any] = reply.body["data"]
        return user


def wrong(code: str) -> str:
    """A code that differs from this one."""
    return f"{(int(code) + 1) % 1_000_000:06d}"
