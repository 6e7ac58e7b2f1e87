"""native: our own API under ``/v2``. JSON in snake_case, E.164, real HTTP statuses, RFC 9457 problems in zh or en.

A session has an access token (a JWT, valid for 15 minutes) and a refresh token; see ``docs/contracts/native.md``.
"""

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from aiohttp import web
from pydantic import Field

from gateway.challenges import challenge_of, read_challenge
from gateway.dialect import Dialect, flows, session_of
from gateway.flows import refusals
from gateway.flows.tokens import NewSession
from gateway.http import discovery
from gateway.http.operations import Moment, ResponseBody, Routes
from gateway.http.problems import Problem, problem
from gateway.http.request_parsing import ClientName, Parameters, Text, either, id_in_path, read_parameters, require
from gateway.http.responses import json_response
from gateway.locales import Locale
from gateway.passwords import Password
from gateway.profiles import Motto, Nickname, Picture
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Gender
from shared.internal_api.contacts import Matched
from shared.internal_api.public_keys import PublicKeys
from shared.internal_api.sms import Purpose
from shared.phone import E164

MAX_CONTACTS_BYTES = 256 * 1024

PurposeName = Annotated[Purpose, Field(strict=False)]

routes = Routes()


class SendCode(Parameters):
    phone: Text
    purpose: PurposeName
    locale: Locale = None
    client: ClientName = "native"


class CheckCode(Parameters):
    model_config = either("challenge", "phone purpose")

    code: Text
    challenge: Text | None = None
    phone: Text | None = None
    purpose: PurposeName | None = None


class Register(Parameters):
    ticket: Text
    password: Text | None = None
    nickname: Nickname | None = None
    client: ClientName = "native"


class LogIn(Parameters):
    model_config = either("ticket", "phone password")

    ticket: Text | None = None
    phone: Text | None = None
    password: Text | None = None
    client: ClientName = "native"


class RefreshTokens(Parameters):
    refresh_token: Text


class SetPassword(Parameters):
    model_config = either("ticket", "current")

    password: Text
    ticket: Text | None = None
    current: Text | None = None
    client: ClientName = "native"


class ChangeMe(Parameters):
    nickname: Nickname | None = None
    gender: Annotated[Gender | None, Field(strict=False)] = None
    motto: Motto | None = None
    avatar: Picture | None = None
    discoverable: bool | None = None


class ChangeNumber(Parameters):
    old_ticket: Text
    new_ticket: Text


class MatchContacts(Parameters):
    phones: list[Any]


class CodeSent(ResponseBody):
    challenge: str
    expires_in: int
    resend_after: int


class CodeChecked(ResponseBody):
    ticket: str
    expires_in: int


class Account(ResponseBody):
    user_id: int
    phone: str
    nickname: str
    gender: Gender
    motto: str
    avatar: str
    discoverable: bool
    created_at: Moment


class Tokens(ResponseBody):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the kind of token (RFC 6750)
    expires_in: int
    refresh_token: str


class Registered(ResponseBody):
    account: Account
    tokens: Tokens


class Session(ResponseBody):
    id: UUID = Field(validation_alias="session_id")
    client: str
    dialect: str
    opened_at: Moment
    current: bool


class Sessions(ResponseBody):
    sessions: list[Session]


@routes.on(
    "POST", "/v2/verifications", takes=SendCode, returns={202: CodeSent}, refuses=refusals.SEND_CODE, login="optional"
)
async def send_code(request: web.Request) -> web.Response:
    """Send a code. ``change_phone`` requires a session: request one code for the current number and one for the new."""
    fields = await read_parameters(request, SendCode)
    number = flows(request).numbers.parse(fields.phone)
    session = await session_of(request) if fields.purpose is Purpose.CHANGE_PHONE else None
    caller = DIALECT.caller(request, fields.client, fields.locale)
    issued = await flows(request).codes.send(caller, number, fields.purpose, session=session)
    challenge = challenge_of(fields.purpose, issued.verification_id)
    sent = CodeSent(challenge=challenge, expires_in=issued.expires_in, resend_after=issued.resend_after)
    return json_response(sent, status=202)


@routes.on("POST", "/v2/verifications/check", takes=CheckCode, returns=CodeChecked, refuses=refusals.CHECK_CODE)
async def check_code(request: web.Request) -> web.Response:
    """Exchange a code for a ticket, which is valid for ten minutes and for the purpose of the code."""
    fields = await read_parameters(request, CheckCode)
    purpose, subject = _subject(request, fields)
    checked = await flows(request).codes.check(DIALECT.caller(request), purpose, fields.code, subject)
    return json_response(CodeChecked.model_validate(checked))


@routes.on("POST", "/v2/accounts", takes=Register, returns={201: Registered}, refuses=refusals.REGISTER)
async def register(request: web.Request) -> web.Response:
    """Create an account with a ``sign_up`` ticket."""
    fields = await read_parameters(request, Register)
    caller = DIALECT.caller(request, fields.client)
    password = None if fields.password is None else Password.from_plain(fields.password)
    session = await flows(request).tokens.register(caller, fields.ticket, password, fields.nickname)
    return json_response(Registered.model_validate(session), status=201)


@routes.on("POST", "/v2/sessions", takes=LogIn, returns=Tokens, refuses=refusals.LOG_IN)
async def log_in(request: web.Request) -> web.Response:
    """Log in with a password, or with a ``sign_in`` ticket."""
    fields = await read_parameters(request, LogIn)
    return json_response(Tokens.model_validate((await _log_in(request, fields)).tokens))


@routes.on("POST", "/v2/sessions/refresh", takes=RefreshTokens, returns=Tokens, refuses=refusals.SESSION)
async def refresh(request: web.Request) -> web.Response:
    """Get the next pair of tokens. After a lost response, repeat it: the old token works until the next is used."""
    fields = await read_parameters(request, RefreshTokens)
    return json_response(Tokens.model_validate(await flows(request).tokens.refresh(fields.refresh_token)))


@routes.on("GET", "/v2/sessions", returns=Sessions, login="required")
async def list_sessions(request: web.Request) -> web.Response:
    """List the user's sessions, newest first."""
    session = await session_of(request)
    sessions = await flows(request).self_service.list_sessions(session)
    rows = [{**each.model_dump(), "current": each.session_id == session.session_id} for each in sessions]
    return json_response(Sessions.model_validate({"sessions": rows}))


@routes.on("DELETE", "/v2/sessions/{id}", returns=None, refuses=[ErrorCode.NOT_FOUND], login="required")
async def end_session(request: web.Request) -> web.Response:
    """End a session. Ending the current one logs the user out."""
    session = await session_of(request)
    await flows(request).self_service.end_session(session, id_in_path(request))
    return web.Response(status=204)


@routes.on("DELETE", "/v2/sessions", returns=None, login="required")
async def end_other_sessions(request: web.Request) -> web.Response:
    """End all sessions except the current one."""
    await flows(request).self_service.end_other_sessions(await session_of(request))
    return web.Response(status=204)


@routes.on(
    "PUT",
    "/v2/password",
    takes=SetPassword,
    returns={200: Tokens, 204: None},
    refuses=refusals.PASSWORD,
    login="optional",
)
async def set_password(request: web.Request) -> web.Response:
    """Set a new password: with a ``reset_password`` ticket (200), or with a session and the current password (204)."""
    fields = await read_parameters(request, SetPassword)
    caller, password = DIALECT.caller(request, fields.client), Password.from_plain(fields.password)
    if fields.ticket is not None:
        new_session = await flows(request).tokens.reset_password(caller, fields.ticket, password)
        return json_response(Tokens.model_validate(new_session.tokens))
    session = await session_of(request)
    current = Password.from_plain(require(fields.current, "current"))
    await flows(request).self_service.change_password(caller, session, current, password)
    return web.Response(status=204)


@routes.on("GET", "/v2/me", returns=Account, login="required")
async def show_me(request: web.Request) -> web.Response:
    """Get the user's own account."""
    return json_response(Account.model_validate((await session_of(request)).account))


@routes.on("PATCH POST", "/v2/me", takes=ChangeMe, returns=Account, login="required")
async def change_me(request: web.Request) -> web.Response:
    """Change the given fields; the others stay. POST is for clients that cannot send PATCH, such as mini programs."""
    session = await session_of(request)
    fields = await read_parameters(request, ChangeMe)
    changes = fields.model_dump(exclude_none=True)
    return json_response(Account.model_validate(await flows(request).self_service.change_profile(session, changes)))


@routes.on("DELETE", "/v2/me", returns=None, login="required")
async def erase_me(request: web.Request) -> web.Response:
    """Erase the account immediately and permanently. Its number is free again."""
    await flows(request).self_service.erase(DIALECT.caller(request), await session_of(request))
    return web.Response(status=204)


@routes.on("PUT", "/v2/me/phone", takes=ChangeNumber, returns=Account, refuses=refusals.CHANGE_NUMBER, login="required")
async def change_number(request: web.Request) -> web.Response:
    """Change the number with two ``change_phone`` tickets."""
    session = await session_of(request)
    fields = await read_parameters(request, ChangeNumber)
    account = await flows(request).self_service.change_number(
        DIALECT.caller(request), session, old_ticket=fields.old_ticket, new_ticket=fields.new_ticket
    )
    return json_response(Account.model_validate(account))


@routes.on("POST", "/v2/contacts/match", takes=MatchContacts, returns=Matched, refuses=refusals.MATCH, login="required")
async def match_contacts(request: web.Request) -> web.Response:
    """Find the registered numbers in a list. The list is not stored."""
    session = await session_of(request)
    fields = await read_parameters(request, MatchContacts, max_bytes=MAX_CONTACTS_BYTES)
    return json_response(await flows(request).self_service.match_contacts(session, fields.phones))


@routes.on("GET", discovery.KEYS_PATH, returns=PublicKeys)
async def show_keys(request: web.Request) -> web.Response:
    """Get the public keys that verify access tokens (RFC 7517)."""
    keys = (await flows(request).tokens.public_keys()).keys
    return discovery.cacheable(PublicKeys(keys=keys))


@routes.on("GET", discovery.DISCOVERY_PATH, returns=discovery.OpenIdConfiguration, refuses=[ErrorCode.NOT_FOUND])
async def show_openid_configuration(request: web.Request) -> web.Response:
    """Get the issuer of access tokens and the address of its keys (OpenID Connect), if the issuer is a URL."""
    return discovery.cacheable(discovery.openid_configuration(await flows(request).tokens.public_keys()))


async def _log_in(request: web.Request, fields: LogIn) -> NewSession:
    caller = DIALECT.caller(request, fields.client)
    if fields.ticket is not None:
        return await flows(request).tokens.log_in_with_code(caller, fields.ticket)
    phone, password = require(fields.phone, "phone"), require(fields.password, "password")
    number = flows(request).numbers.parse(phone)
    return await flows(request).tokens.log_in_with_password(caller, number, Password.from_plain(password))


def _subject(request: web.Request, fields: CheckCode) -> tuple[Purpose, E164 | UUID]:
    """The purpose of the code, and its number or its verification."""
    if fields.challenge is not None:
        return read_challenge(fields.challenge)
    if fields.purpose is None:
        raise ServiceError(ErrorCode.PARAMETER_MISSING, field="challenge" if fields.phone is None else "purpose")
    return fields.purpose, flows(request).numbers.parse(require(fields.phone, "phone"))


def render_error(error: ServiceError, _: str) -> web.Response:
    """Render the refusal as a problem document, the same one for every path."""
    return problem(error)


EXAMPLES = {
    "phone": "+8613800138000",
    "code": "119614",
    "challenge": "AAGdpOM6eHCSpGoZVcEG0Vk",
    "ticket": "AQ6kWmYvN0c8Qe1d",
    "expires_in": 300,
    "resend_after": 60,
    "password": "correct horse",
    "SetPassword.current": "wrong donkey",
    "access_token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxNDEyNTQ1NTQzNDUzNDY0In0.c2ln",
    "refresh_token": "sOTzCJ0T4HqzmGf2k6uB",
    "user_id": 1412545543453464,
    "nickname": "张三",
    "motto": "今天心情不错",
    "avatar": "https://img.example.com/a.png",
    "client": "native",
    "dialect": "native",
    "phones": ["138 0013 8000", "+8613900139000"],
    "budget_left": 4998,
    "issuer": "https://id.example.com",
    "jwks_uri": "https://id.example.com/.well-known/jwks.json",
    "keys": [discovery.KEY_EXAMPLE],
}

DIALECT = Dialect(
    name="native",
    about=__doc__,
    routes=routes,
    owns=re.compile(r"/v2(/.*)?|/\.well-known/(jwks\.json|openid-configuration)"),
    render_error=render_error,
    refusal=Problem,
    examples=EXAMPLES,
)
