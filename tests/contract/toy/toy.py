"""A dialect in one file, as anybody would add it: two calls, an envelope of its own, one table of refusals."""

import re
from typing import Literal

from aiohttp import web

from gateway.dialect import Dialect, Text, flows, json_response
from gateway.flows import refusals
from gateway.operations import Answer, Routes
from gateway.passwords import Password
from gateway.request_parsing import Call, read_call
from shared.errors import ServiceError
from shared.internal_api.sms import Purpose

routes = Routes()


class Send(Call):
    mobile: Text


class Join(Send):
    code: Text
    password: Text


class Done(Answer):
    ok: Literal[True] = True


class Joined(Done):
    user: int


class Refusal(Answer):
    ok: Literal[False] = False
    why: str


@routes.on("POST", "/toy/send", asks=Send, answers=Done, refuses=refusals.SEND_SIGN_UP_CODE)
async def send(request: web.Request) -> web.Response:
    """Send a code."""
    call = await read_call(request, Send)
    await flows(request).send_code(DIALECT.caller(request), flows(request).number(call.mobile), Purpose.SIGN_UP)
    return json_response(Done())


@routes.on("POST", "/toy/join", asks=Join, answers=Joined, refuses=refusals.REGISTER)
async def join(request: web.Request) -> web.Response:
    """Open an account with the code."""
    call = await read_call(request, Join)
    number, password = flows(request).number(call.mobile), Password.from_plain(call.password)
    opened = await flows(request).register_with_code(DIALECT.caller(request), number, password, call.code)
    return json_response(Joined(user=opened.account.user_id))


def render_error(error: ServiceError, _: str) -> web.Response:
    """The refusal by our own name for it."""
    return json_response(Refusal(why=error.code.value), status=418, error=error)


DIALECT = Dialect(
    name="toy",
    about=__doc__,
    routes=routes,
    owns=re.compile("/toy/.*"),
    render_error=render_error,
    refusal=Refusal,
    examples={"mobile": "13800138000", "code": "119614", "password": "secret123", "user": 7},
)
