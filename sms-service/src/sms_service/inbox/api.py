"""The inbox over HTTP, in development only."""

import math
import re
from uuid import UUID

from aiohttp import web

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.calls import Calls
from shared.internal_api.endpoint import Empty
from shared.internal_api.server import reply
from shared.phone import E164, parse_any
from sms_service.inbox.host_check import for_private_hosts
from sms_service.inbox.messages import PUT_MESSAGES, Inbox, Messages, NewMessages
from sms_service.inbox.page import InboxPage

INBOX: web.AppKey[Inbox] = web.AppKey("inbox", Inbox)

DEFAULT_LIMIT = 20
MAX_LIMIT = 1000
MAX_WAIT_SECONDS = 30.0
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")

calls = Calls()
routes = web.RouteTableDef()


def mount(app: web.Application) -> None:
    """Add the inbox and its page to an application that serves this module (``add_api``)."""
    app[INBOX] = Inbox()
    InboxPage(app[INBOX]).mount(app)
    app.on_shutdown.append(_release)


async def _release(app: web.Application) -> None:
    app[INBOX].release()


@routes.get(PUT_MESSAGES.path, allow_head=False)
@for_private_hosts
async def list_messages(request: web.Request) -> web.Response:
    found = request.app[INBOX].newest(_to(request), _limit(request))
    return reply(Messages(messages=found))


@routes.get(PUT_MESSAGES.path + "/latest", allow_head=False)
@for_private_hosts
async def latest_message(request: web.Request) -> web.Response:
    found = await request.app[INBOX].latest(_to(request), _after(request), _wait(request))
    if found is None:
        raise ServiceError(ErrorCode.NOT_FOUND)
    return reply(found)


@routes.delete(PUT_MESSAGES.path)
@for_private_hosts
async def empty_inbox(request: web.Request) -> web.Response:
    request.app[INBOX].empty()
    return web.Response(status=204)


@calls.answer(PUT_MESSAGES)
async def put_messages(app: web.Application, call: NewMessages) -> Empty:
    for message in call.messages:
        app[INBOX].put(message)
    return Empty()


def _to(request: web.Request) -> E164 | None:
    raw = request.query.get("to")
    if raw is None:
        return None
    if raw.startswith(" "):  # an unescaped plus sign in a query is a space
        raw = "+" + raw[1:]
    if _E164.fullmatch(raw):
        return E164(raw)
    try:
        return parse_any(raw)
    except ServiceError:
        raise _invalid("to") from None


def _limit(request: web.Request) -> int:
    raw = request.query.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,6}", raw) or not 1 <= int(raw) <= MAX_LIMIT:
        raise _invalid("limit")
    return int(raw)


def _wait(request: web.Request) -> float:
    try:
        wait = float(request.query.get("wait", "0"))
    except ValueError:
        raise _invalid("wait") from None
    if not math.isfinite(wait) or wait < 0:
        raise _invalid("wait")
    return min(wait, MAX_WAIT_SECONDS)


def _after(request: web.Request) -> str:
    raw = request.query.get("after")
    try:
        return "" if raw is None else str(UUID(raw))
    except ValueError:
        raise _invalid("after") from None


def _invalid(parameter: str) -> ServiceError:
    return ServiceError(ErrorCode.PARAMETER_INVALID, field=parameter)
