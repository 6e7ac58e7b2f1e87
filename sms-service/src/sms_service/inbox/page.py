"""The inbox as a page. A script in it waits for a change and then loads the page again."""

import math
from dataclasses import dataclass

from aiohttp import web

from shared.internal_api.endpoint import Number
from shared.pages.site import Site, reader_language
from sms_service.inbox.host_check import for_private_hosts
from sms_service.inbox.messages import CAPACITY, Inbox, StoredMessage
from sms_service.inbox.search import MAX_CHARACTERS, parse_search
from sms_service.inbox.words import PURPOSES, WORDS

MAX_ROWS = 200
WAIT_SECONDS = 25.0
"""How long a page waits for a change: less than proxies and browsers allow a request without a response."""

ABOUT = """\
The SMS inbox of development. In a browser this address is a page. The messages, newest first:
  GET    /inbox/messages?to=+8613800138000&limit=20
  GET    /inbox/messages/latest?to=+8613800138000&wait=5&after=<id>
  DELETE /inbox/messages
"""


@dataclass(frozen=True)
class Row:
    """A message as the page shows it."""

    message: StoredMessage
    number: str
    purpose: str

    @property
    def iso(self) -> str:
        return f"{self.message.created_at:%Y-%m-%dT%H:%M:%SZ}"

    @property
    def utc(self) -> str:
        return f"{self.message.created_at:%Y-%m-%d %H:%M:%S} UTC"


class InboxPage:
    """The page of one inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._site = Site("sms_service.inbox", "/inbox", WORDS)

    def mount(self, app: web.Application) -> None:
        """Add the routes of the page, of its files, and of the state that it waits on."""
        app.router.add_get("/inbox", for_private_hosts(self.show), allow_head=False)
        app.router.add_get("/inbox/state", for_private_hosts(self.wait_for_state), allow_head=False)
        self._site.mount(app)

    async def show(self, request: web.Request) -> web.Response:
        """The messages that a search finds. A client that does not accept HTML learns how to get JSON."""
        if "text/html" not in request.headers.get("Accept", ""):
            return web.Response(text=ABOUT)
        state = await self._inbox.state("", 0)
        number = _number(request.query.get("to", ""))
        typed = request.query.get("q", "")[:MAX_CHARACTERS]
        found = self._find(number, typed)
        return self._site.page(
            request,
            "inbox.html",
            state=state,
            count=self._inbox.count,
            number=number,
            shown_number=_spaced(number),
            q=typed,
            found=len(found),
            max_rows=MAX_ROWS,
            rows=[_row(message, reader_language(request)) for message in found[:MAX_ROWS]],
        )

    async def wait_for_state(self, request: web.Request) -> web.Response:
        """A token for the content, as soon as it differs from ``known``, or unchanged after ``wait`` seconds."""
        state = await self._inbox.state(request.query.get("known", ""), _wait(request))
        return web.json_response({"state": state}, headers={"Cache-Control": "no-store"})

    def _find(self, number: Number, typed: str) -> list[StoredMessage]:
        search = parse_search(typed)
        messages = self._inbox.newest(None, CAPACITY)
        return [message for message in messages if (not number or message.to == number) and search.finds(message)]


def _row(message: StoredMessage, language: str) -> Row:
    return Row(message, _spaced(message.to), PURPOSES[language][message.purpose])


def _number(typed: str) -> Number:
    """The number of a per-number view. An unescaped plus sign in a query arrives as a space."""
    return Number("+" + typed[1:] if typed.startswith(" ") else typed)


def _spaced(number: str) -> str:
    """A number in international format; any other text unchanged."""
    import phonenumbers  # noqa: PLC0415  15 MiB, and only this page needs it

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _wait(request: web.Request) -> float:
    try:
        wait = float(request.query.get("wait", WAIT_SECONDS))
    except ValueError:
        return 0
    return min(max(wait, 0), WAIT_SECONDS) if math.isfinite(wait) else 0
