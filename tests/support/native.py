"""What a user of our own API does, for tests of the whole system."""

import asyncio
import time
from typing import Any

from support.app import App, Reply


async def call(app: App, method: str, path: str, token: str | None = None, **fields: Any) -> Reply:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return await app.call(method, path, json=fields or None, headers=headers)


async def ticket(app: App, number: str, purpose: str, token: str | None = None) -> str:
    sent = await call(app, "POST", "/v2/verifications", token, phone=number, purpose=purpose)
    assert sent.status == 202, sent.body
    code = await app.code(number)
    checked = await call(app, "POST", "/v2/verifications/check", challenge=sent.body["challenge"], code=code)
    assert checked.status == 200, checked.body
    return str(checked.body["ticket"])


async def register(app: App, number: str, **more: Any) -> dict[str, Any]:
    registered = await call(app, "POST", "/v2/accounts", ticket=await ticket(app, number, "sign_up"), **more)
    assert registered.status == 201, registered.body
    return dict(registered.body)


async def is_found(app: App, token: str, number: str) -> bool:
    matched = await call(app, "POST", "/v2/contacts/match", token, phones=[number])
    assert matched.status == 200, matched.body
    return bool(matched.body["matches"])


async def eventually(condition: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        await asyncio.sleep(0.05)
