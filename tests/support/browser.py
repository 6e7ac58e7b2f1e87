"""A visit to the pages in a real browser: a language, a width, and a memory of everything that should not happen."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Error, Page, Request, expect
from stack.system import Stack

LOCALES = {"zh": "zh-CN", "en": "en-GB"}
REFUSED = "Failed to load resource: the server responded with a status of 4"
"""What the browser itself notes about an HTTP refusal; our own API refuses with real statuses."""

expect.set_options(timeout=30_000)


@dataclass
class Visit:
    """A page, and what was seen on its way."""

    page: Page
    gateway: str
    sms: str
    said: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    async def inbox(self, query: str = "") -> None:
        """Open the SMS inbox and wait until it is live."""
        await self.page.goto(f"{self.sms}/inbox{query}")
        await expect(self.page.locator("#link:not(.offline)")).to_be_visible()

    async def form(self, name: str) -> None:
        await self.page.goto(f"{self.gateway}/pages/{name}")

    async def fill(self, **values: str) -> None:
        for name, value in values.items():
            await self.page.fill(f"#{name}", value)

    async def complaint(self, name: str) -> str:
        """What is wrong with a field, once something is, as assistive technology would find it."""
        field = self.page.locator(f"#{name}[aria-invalid=true]")
        await expect(field).to_be_visible()
        assert f"{name}-error" in str(await field.get_attribute("aria-describedby")).split()
        return await self.page.locator(f"#{name}-error").inner_text()

    def note(self, message: ConsoleMessage) -> None:
        if not (message.text.startswith(REFUSED) and "/v2/" in message.location["url"]):
            self.said.append(message.text)

    def blame(self, error: Error) -> None:
        self.said.append(str(error))

    def follow(self, request: Request) -> None:
        if not request.url.startswith((self.gateway, self.sms, "data:")):
            self.foreign.append(urlsplit(request.url).netloc)


Visiting = Callable[..., Awaitable[Visit]]


@asynccontextmanager
async def visiting(
    browser: Browser, system: Stack, language: str, width: int, options: dict[str, Any]
) -> AsyncIterator[Visit]:
    context = await browser.new_context(
        locale=LOCALES[language],
        viewport={"width": width, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
        reduced_motion="reduce",
        **options,
    )
    visit = Visit(await context.new_page(), system.url("gateway"), system.url("sms-service"))
    visit.page.on("console", visit.note)
    visit.page.on("pageerror", visit.blame)
    visit.page.on("request", visit.follow)
    try:
        yield visit
    finally:
        await context.close()
