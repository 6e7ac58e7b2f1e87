"""toy: a dialect in one file, with two calls, an envelope of its own and one format of refusals."""

import re
from typing import Literal

from aiohttp import web

from gateway.dialect import Dialect, flows
from gateway.flows import refusals
from gateway.http.operations import FieldDoc, ResponseBody, Routes
from gateway.http.request_parsing import Parameters, Text, read_parameters
from gateway.http.responses import json_response
from gateway.passwords import Password
from shared.errors import ServiceError
from shared.internal_api.sms import Purpose

routes = Routes()


class Send(Parameters):
    mobile: Text


class Join(Send):
    code: Text
    password: Text


class Done(ResponseBody):
    ok: Literal[True] = True


class Joined(Done):
    user: int


class Refusal(ResponseBody):
    ok: Literal[False] = False
    why: str


@routes.on("POST", "/toy/send", takes=Send, returns=Done, refuses=refusals.SEND_REGISTER_CODE)
async def send(request: web.Request) -> web.Response:
    """Send a code."""
    fields = await read_parameters(request, Send)
    await flows(request).codes.send(
        DIALECT.caller(request), flows(request).numbers.parse(fields.mobile), Purpose.SIGN_UP
    )
    return json_response(Done())


@routes.on("POST", "/toy/join", takes=Join, returns=Joined, refuses=refusals.REGISTER)
async def join(request: web.Request) -> web.Response:
    """Register with the code."""
    fields = await read_parameters(request, Join)
    number, password = flows(request).numbers.parse(fields.mobile), Password.from_plain(fields.password)
    logged_in = await flows(request).accounts.register_with_code(DIALECT.caller(request), number, password, fields.code)
    return json_response(Joined(user=logged_in.account.user_id))


def render_error(error: ServiceError, _: str) -> web.Response:
    """Render the refusal with our own error code."""
    return json_response(Refusal(why=error.code.value), status=418, error=error)


FIELDS = {
    "mobile": FieldDoc("The number, in any spelling.", "13800138000"),
    "code": FieldDoc("The six digits of the message.", "119614"),
    "password": FieldDoc("6 to 128 printable ASCII characters.", "secret123"),
    "ok": FieldDoc("Whether the call succeeded."),
    "user": FieldDoc("The id of the new user.", 7),
    "why": FieldDoc("Our error code."),
}

DIALECT = Dialect(
    name="toy",
    about=__doc__,
    routes=routes,
    owns=re.compile("/toy/.*"),
    render_error=render_error,
    refusal=Refusal,
    fields=FIELDS,
    refusal_code="why",
)
