"""native: our own API under ``/v2``. JSON in snake_case, E.164, real HTTP statuses, RFC 9457 problems in zh or en.

A session is carried by an access token (a JWT, 15 minutes) and a refresh token; ``docs/contracts/native.md`` explains.
"""

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from aiohttp import web
from pydantic import Field, StringConstraints

from gateway.challenges import challenge_of, read_challenge
from gateway.dialect import Client, Dialect, Text, flows, id_in_path, json_response, session_of
from gateway.flows import refusals
from gateway.flows.grants import Entered
from gateway.operations import Answer, Moment, Routes
from gateway.passwords import Password
from gateway.problems import Problem, problem
from gateway.profiles import Motto, Nickname, Picture
from gateway.request_parsing import Call, either, read_call, required
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Gender, PublicKeys
from shared.internal_api.contacts import Matched
from shared.internal_api.sms import Purpose
from shared.phone import E164

CONTACTS_BODY_BYTES = 256 * 1024
KEYS_SECONDS = 300
"""How long a verifier may keep our public keys; a new one is told that long before it signs."""

Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$")]
PurposeName = Annotated[Purpose, Field(strict=False)]

routes = Routes()


class Verify(Call):
    phone: Text
    purpose: PurposeName
    locale: Locale | None = None
    client: Client = "native"


class Check(Call):
    model_config = either("challenge", "phone purpose")

    code: Text
    challenge: Text | None = None
    phone: Text | None = None
    purpose: PurposeName | None = None


class OpenAccount(Call):
    ticket: Text
    password: Text | None = None
    nickname: Nickname | None = None
    client: Client = "native"


class Enter(Call):
    model_config = either("ticket", "phone password")

    ticket: Text | None = None
    phone: Text | None = None
    password: Text | None = None
    client: Client = "native"


class RefreshTokens(Call):
    refresh_token: Text


class SetPassword(Call):
    model_config = either("ticket", "current")

    password: Text
    ticket: Text | None = None
    current: Text | None = None
    client: Client = "native"


class ChangeMe(Call):
    nickname: Nickname | None = None
    gender: Annotated[Gender | None, Field(strict=False)] = None
    motto: Motto | None = None
    avatar: Picture | None = None
    discoverable: bool | None = None


class ChangeNumber(Call):
    old_ticket: Text
    new_ticket: Text


class MatchContacts(Call):
    phones: list[Any]


class Sent(Answer):
    challenge: str
    expires_in: int
    resend_after: int


class Checked(Answer):
    ticket: str
    expires_in: int


class Account(Answer):
    user_id: int
    phone: str
    nickname: str
    gender: Gender
    motto: str
    avatar: str
    discoverable: bool
    created_at: Moment


class Tokens(Answer):
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  the kind of token (RFC 6750)
    expires_in: int
    refresh_token: str


class Opened(Answer):
    account: Account
    tokens: Tokens


class Session(Answer):
    id: UUID = Field(validation_alias="session_id")
    client: str
    dialect: str
    opened_at: Moment
    current: bool


class Sessions(Answer):
    sessions: list[Session]


@routes.on(
    "POST",
    "/v2/verifications",
    asks=Verify,
    answers={202: Sent},
    refuses=refusals.SEND_ANY_CODE | refusals.SESSION,
    login="optional",
)
async def send_code(request: web.Request) -> web.Response:
    """Send a code. ``change_phone`` is for who is logged in: to his present number, and to the new one."""
    call = await read_call(request, Verify)
    number = flows(request).number(call.phone)
    session = await session_of(request) if call.purpose is Purpose.CHANGE_PHONE else None
    caller = DIALECT.caller(request, call.client, call.locale)
    issued = await flows(request).send_code(caller, number, call.purpose, session=session)
    challenge = challenge_of(call.purpose, issued.verification_id)
    sent = Sent(challenge=challenge, expires_in=issued.expires_in, resend_after=issued.resend_after)
    return json_response(sent, status=202)


@routes.on("POST", "/v2/verifications/check", asks=Check, answers=Checked, refuses=refusals.CHECK_CODE)
async def check_code(request: web.Request) -> web.Response:
    """Trade a code for a ticket, good for ten minutes and the purpose of the code."""
    call = await read_call(request, Check)
    purpose, where = _what_was_asked(request, call)
    checked = await flows(request).check_code(DIALECT.caller(request), purpose, call.code, where)
    return json_response(Checked.model_validate(checked))


@routes.on("POST", "/v2/accounts", asks=OpenAccount, answers={201: Opened}, refuses=refusals.REGISTER)
async def open_account(request: web.Request) -> web.Response:
    """Open an account with a ``sign_up`` ticket."""
    call = await read_call(request, OpenAccount)
    caller = DIALECT.caller(request, call.client)
    password = None if call.password is None else Password.from_plain(call.password)
    entered = await flows(request).open_account(caller, call.ticket, password, call.nickname)
    return json_response(Opened.model_validate(entered), status=201)


@routes.on("POST", "/v2/sessions", asks=Enter, answers=Tokens, refuses=refusals.LOG_IN | refusals.ENTER_WITH_TICKET)
async def enter(request: web.Request) -> web.Response:
    """Log in with a password, or with a ``sign_in`` ticket."""
    call = await read_call(request, Enter)
    return json_response(Tokens.model_validate((await _enter(request, call)).tokens))


@routes.on("POST", "/v2/sessions/refresh", asks=RefreshTokens, answers=Tokens, refuses=refusals.SESSION)
async def refresh(request: web.Request) -> web.Response:
    """The next pair of tokens. An old refresh token is good for 30 s more; used later, it ends the session."""
    call = await read_call(request, RefreshTokens)
    return json_response(Tokens.model_validate(await flows(request).refresh(call.refresh_token)))


@routes.on("GET", "/v2/sessions", answers=Sessions, login="required")
async def list_sessions(request: web.Request) -> web.Response:
    """The user's sessions, newest first."""
    session = await session_of(request)
    living = await flows(request).sessions(session)
    shown = [{**each.model_dump(), "current": each.session_id == session.session_id} for each in living]
    return json_response(Sessions.model_validate({"sessions": shown}))


@routes.on("DELETE", "/v2/sessions/{id}", answers=None, refuses=[ErrorCode.NOT_FOUND], login="required")
async def end_session(request: web.Request) -> web.Response:
    """End a session; the present one too, which is to log out."""
    session = await session_of(request)
    await flows(request).end_session(session, id_in_path(request))
    return web.Response(status=204)


@routes.on("DELETE", "/v2/sessions", answers=None, login="required")
async def end_other_sessions(request: web.Request) -> web.Response:
    """End all sessions but this one."""
    await flows(request).end_other_sessions(await session_of(request))
    return web.Response(status=204)


@routes.on(
    "PUT",
    "/v2/password",
    asks=SetPassword,
    answers={200: Tokens, 204: None},
    refuses=refusals.PASSWORD,
    login="optional",
)
async def set_password(request: web.Request) -> web.Response:
    """Set a new password: with a ``reset_password`` ticket, or logged in with the current one (204)."""
    call = await read_call(request, SetPassword)
    caller, password = DIALECT.caller(request, call.client), Password.from_plain(call.password)
    if call.ticket is not None:
        entered = await flows(request).enter_with_new_password(caller, call.ticket, password)
        return json_response(Tokens.model_validate(entered.tokens))
    session = await session_of(request)
    current = Password.from_plain(required(call.current, "current"))
    await flows(request).change_password(caller, session, current, password)
    return web.Response(status=204)


@routes.on("GET", "/v2/me", answers=Account, login="required")
async def show_me(request: web.Request) -> web.Response:
    """The user's own account."""
    return json_response(Account.model_validate((await session_of(request)).account))


@routes.on("PATCH", "/v2/me", asks=ChangeMe, answers=Account, login="required")
async def change_me(request: web.Request) -> web.Response:
    """Change what is given; the rest stays."""
    session = await session_of(request)
    call = await read_call(request, ChangeMe)
    changed = await flows(request).change_profile(session, call.model_dump(exclude_none=True))
    return json_response(Account.model_validate(changed))


@routes.on("DELETE", "/v2/me", answers=None, login="required")
async def erase_me(request: web.Request) -> web.Response:
    """Erase the account, at once and for good; its number is free again."""
    await flows(request).erase(DIALECT.caller(request), await session_of(request))
    return web.Response(status=204)


@routes.on("PUT", "/v2/me/phone", asks=ChangeNumber, answers=Account, refuses=refusals.CHANGE_NUMBER, login="required")
async def change_number(request: web.Request) -> web.Response:
    """Change the number with two ``change_phone`` tickets."""
    session = await session_of(request)
    call = await read_call(request, ChangeNumber)
    changed = await flows(request).change_number_with_tickets(
        DIALECT.caller(request), session, old_ticket=call.old_ticket, new_ticket=call.new_ticket
    )
    return json_response(Account.model_validate(changed))


@routes.on("POST", "/v2/contacts/match", asks=MatchContacts, answers=Matched, refuses=refusals.MATCH, login="required")
async def match_contacts(request: web.Request) -> web.Response:
    """Which of these numbers are members. Nothing that is sent is stored."""
    session = await session_of(request)
    call = await read_call(request, MatchContacts, body_bytes=CONTACTS_BODY_BYTES)
    matched = await flows(request).match_contacts(session, call.phones)
    return json_response(matched)


@routes.on("GET", "/.well-known/jwks.json", answers=PublicKeys)
async def show_keys(request: web.Request) -> web.Response:
    """The keys that access tokens are verified with (RFC 7517)."""
    keys = await flows(request).public_keys()
    response = json_response(PublicKeys(keys=keys))
    response.headers["Cache-Control"] = f"public, max-age={KEYS_SECONDS}"
    return response


async def _enter(request: web.Request, call: Enter) -> Entered:
    caller = DIALECT.caller(request, call.client)
    if call.ticket is not None:
        return await flows(request).enter_with_ticket(caller, call.ticket)
    phone, password = required(call.phone, "phone"), required(call.password, "password")
    number = flows(request).number(phone)
    return await flows(request).enter(await flows(request).log_in(caller, number, Password.from_plain(password)))


def _what_was_asked(request: web.Request, call: Check) -> tuple[Purpose, E164 | UUID]:
    if call.challenge is None:
        if call.purpose is None:
            raise ServiceError(ErrorCode.PARAMETER_MISSING, field="challenge" if call.phone is None else "purpose")
        return call.purpose, flows(request).number(required(call.phone, "phone"))
    return read_challenge(call.challenge)


def render_error(error: ServiceError, _: str) -> web.Response:
    """The refusal as a problem document; every path says it alike."""
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
    "keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg", "kid": "1", "use": "sig", "alg": "EdDSA"}],
}

DIALECT = Dialect(
    name="native",
    about=__doc__,
    routes=routes,
    owns=re.compile(r"/v2(/.*)?|/\.well-known/jwks\.json"),
    render_error=render_error,
    refusal=Problem,
    examples=EXAMPLES,
)
