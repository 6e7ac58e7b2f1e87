"""native: our own API under ``/v2``. JSON in snake_case, E.164, real HTTP statuses, RFC 9457 problems in zh or en.

A session has an access token (a JWT, valid for 15 minutes) and a refresh token; see ``docs/contracts/native.md``.
"""

import re
from functools import partial
from uuid import UUID

from aiohttp import web

from gateway.challenges import challenge_of, read_challenge
from gateway.dialect import Dialect, admit_bearer, flows, session_of
from gateway.flows import refusals
from gateway.flows.tokens import NewSession
from gateway.http import discovery
from gateway.http.operations import Routes
from gateway.http.problems import LogInLimitError, Problem, problem
from gateway.http.request_parsing import id_in_path, read_one_of, read_parameters, read_unchecked, read_unchecked_one_of
from gateway.http.responses import json_of, json_response, rendered_response, streamed_response
from gateway.native.fields import FIELDS
from gateway.native.personal_data import PersonalData, body_of
from gateway.native.proofs import read_proof
from gateway.native.requests import (
    ChangeMe,
    ChangeNumber,
    ChangePassword,
    CheckChallenge,
    CheckNumber,
    EraseWithPassword,
    EraseWithTicket,
    ExportWithPassword,
    ExportWithTicket,
    LogInWithPassword,
    LogInWithTicket,
    MatchContacts,
    RefreshTokens,
    Register,
    ResetPassword,
    SendCode,
)
from gateway.native.responses import Account, CodeChecked, CodeSent, Registered, SessionList, Tokens
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Account as WholeAccount
from shared.internal_api.auth import Granted
from shared.internal_api.contacts import Matched
from shared.internal_api.public_keys import PublicKeys
from shared.internal_api.sms import PROOFS, Purpose
from shared.phone import E164

MAX_CONTACTS_BYTES = 256 * 1024

WITH_SESSION = {Purpose.CHANGE_PHONE, *PROOFS}
"""The purposes whose codes only a user who is logged in may request."""

routes = Routes()


@routes.on(
    "POST", "/v2/verifications", takes=SendCode, returns={202: CodeSent}, refuses=refusals.SEND_CODE, login="optional"
)
async def send_code(request: web.Request) -> web.Response:
    """Send a code to a number.

    ``change_phone``, ``erase`` and ``export`` require a session. To change the number, request one code for the current
    number and one for the new one. The codes to erase the account and to export its data go to its own number.
    """
    fields = await read_parameters(request, SendCode)
    number = flows(request).numbers.parse(fields.phone)
    session = await session_of(request) if fields.purpose in WITH_SESSION else None
    caller = DIALECT.caller(request, fields.client, fields.locale)
    issued = await flows(request).codes.send(caller, number, fields.purpose, session=session)
    challenge = challenge_of(fields.purpose, issued.verification_id)
    sent = CodeSent(challenge=challenge, expires_in=issued.expires_in, resend_after=issued.resend_after)
    return json_response(sent, status=202)


@routes.on(
    "POST",
    "/v2/verifications/check",
    takes=(CheckChallenge, CheckNumber),
    returns=CodeChecked,
    refuses=refusals.CHECK_CODE,
    variants=[
        *(ServiceError(ErrorCode.CODE_REFUSED, tries_left=left) for left in (4, 0)),
        ServiceError(ErrorCode.CODE_REFUSED, is_limited=True),
    ],
)
async def check_code(request: web.Request) -> web.Response:
    """Exchange a code for a ticket, which is valid for its purpose: ten minutes, ``erase`` and ``export`` five.

    A refusal has ``tries_left`` if the request has a challenge, unless a new code would not help either.
    """
    fields = await read_one_of(request, CheckChallenge, CheckNumber)
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


@routes.on("POST", "/v2/sessions", takes=(LogInWithPassword, LogInWithTicket), returns=Tokens, refuses=refusals.LOG_IN)
async def log_in(request: web.Request) -> web.Response:
    """Log in with a password, or with a ``sign_in`` ticket."""
    fields = await read_one_of(request, LogInWithPassword, LogInWithTicket)
    return json_response(Tokens.model_validate((await _log_in(request, fields)).tokens))


@routes.on("POST", "/v2/sessions/refresh", takes=RefreshTokens, returns=Tokens, refuses=refusals.SESSION)
async def refresh(request: web.Request) -> web.Response:
    """Get the next pair of tokens. After a lost response, repeat it: the old token works until the next is used."""
    fields = await read_parameters(request, RefreshTokens)
    tokens = await flows(request).tokens.refresh(DIALECT.caller(request), fields.refresh_token)
    return json_response(Tokens.model_validate(tokens))


@routes.on("GET", "/v2/sessions", returns=SessionList, login="required", reads=True)
async def list_sessions(request: web.Request) -> web.Response:
    """List the user's sessions, newest first."""
    session = await session_of(request)
    sessions = await flows(request).self_service.list_sessions(session)
    rows = [{**each.model_dump(), "current": each.session_id == session.session_id} for each in sessions]
    return json_response(SessionList.model_validate({"sessions": rows}))


@routes.on("DELETE", "/v2/sessions/{id}", returns=None, refuses=refusals.END_SESSION, login="required")
async def end_session(request: web.Request) -> web.Response:
    """End a session. Ending the current one logs the user out."""
    session = await session_of(request)
    await flows(request).self_service.end_session(session, id_in_path(request))
    return web.Response(status=204)


@routes.on("DELETE", "/v2/sessions", returns=None, refuses=refusals.CHANGE, login="required")
async def end_other_sessions(request: web.Request) -> web.Response:
    """End all sessions except the current one."""
    session = await session_of(request)
    await flows(request).self_service.end_other_sessions(DIALECT.caller(request), session)
    return web.Response(status=204)


@routes.on(
    "PUT",
    "/v2/password",
    takes=(ChangePassword, ResetPassword),
    returns=Tokens,
    refuses=refusals.PASSWORD,
    login="optional",
)
async def set_password(request: web.Request) -> web.Response:
    """Set a new password. All other sessions of the user end.

    With a session and the current password, the session stays and gets new tokens. With a ``reset_password`` ticket, a
    new session is opened.
    """
    unchecked = await read_unchecked_one_of(request, ChangePassword, ResetPassword)
    if unchecked.model is ChangePassword:
        await session_of(request)
    return json_response(Tokens.model_validate(await _set_password(request, unchecked.checked())))


@routes.on("GET", "/v2/me", returns=Account, login="required", reads=True)
async def show_me(request: web.Request) -> web.Response:
    """Get the user's own account."""
    return rendered_response((await session_of(request)).body(_rendered))


@routes.on("PATCH POST", "/v2/me", takes=ChangeMe, returns=Account, refuses=refusals.CHANGE, login="required")
async def change_me(request: web.Request) -> web.Response:
    """Change the given fields of the user's own account. The others stay."""
    session = await session_of(request)
    fields = await read_parameters(request, ChangeMe)
    changes = fields.model_dump(exclude_none=True)
    return json_response(Account.model_validate(await flows(request).self_service.change_profile(session, changes)))


@routes.on(
    "DELETE",
    "/v2/me",
    takes=(EraseWithPassword, EraseWithTicket),
    returns=None,
    refuses=refusals.ERASE,
    login="required",
)
async def erase_me(request: web.Request) -> web.Response:
    """Erase the account immediately and permanently. Its number is free again.

    A session is not enough: the body has the user's password, or an ``erase`` ticket. Clients that cannot send a body
    with DELETE use ``POST /v2/me/erase``.
    """
    session = await session_of(request)
    proof = await read_proof(request, EraseWithPassword, EraseWithTicket)
    await flows(request).self_service.erase(DIALECT.caller(request), session, proof)
    return web.Response(status=204)


@routes.on(
    "POST",
    "/v2/me/erase",
    takes=(EraseWithPassword, EraseWithTicket),
    returns=None,
    refuses=refusals.ERASE,
    login="required",
)
async def erase_me_by_post(request: web.Request) -> web.Response:
    """Erase the account, as ``DELETE /v2/me`` does, for clients that cannot send a body with DELETE."""
    session = await session_of(request)
    proof = await read_proof(request, EraseWithPassword, EraseWithTicket)
    await flows(request).self_service.erase(DIALECT.caller(request), session, proof)
    return web.Response(status=204)


@routes.on(
    "POST",
    "/v2/me/export",
    takes=(ExportWithPassword, ExportWithTicket),
    returns=PersonalData,
    refuses=refusals.EXPORT,
    login="required",
)
async def export_me(request: web.Request) -> web.Response:
    """Get a copy of all that is stored about the user.

    A session is not enough: the body has the user's password, or an ``export`` ticket. The response is sent while it is
    read, and one that ends early is not whole: its JSON is cut.
    """
    session = await session_of(request)
    proof = await read_proof(request, ExportWithPassword, ExportWithTicket)
    data = await flows(request).personal_data.export(DIALECT.caller(request), session, proof)
    return streamed_response(request, body_of(data, session), file_name="personal-data.json")


@routes.on("PUT", "/v2/me/phone", takes=ChangeNumber, returns=Account, refuses=refusals.CHANGE_NUMBER, login="required")
async def change_number(request: web.Request) -> web.Response:
    """Change the number with two ``change_phone`` tickets."""
    unchecked = await read_unchecked(request, ChangeNumber)
    session = await session_of(request)
    fields = unchecked.checked()
    account = await flows(request).self_service.change_number(
        DIALECT.caller(request), session, old_ticket=fields.old_ticket, new_ticket=fields.new_ticket
    )
    return json_response(Account.model_validate(account))


@routes.on("POST", "/v2/contacts/match", takes=MatchContacts, returns=Matched, refuses=refusals.MATCH, login="required")
async def match_contacts(request: web.Request) -> web.Response:
    """Find the registered numbers in a list. The list is not stored."""
    unchecked = await read_unchecked(
        request, MatchContacts, max_bytes=MAX_CONTACTS_BYTES, admit=partial(admit_bearer, request)
    )
    session = await session_of(request)
    fields = unchecked.checked()
    return rendered_response(await flows(request).self_service.match_contacts_unread(session, fields.phones))


@routes.on("GET", discovery.KEYS_PATH, returns=PublicKeys, reads=True)
async def show_keys(request: web.Request) -> web.Response:
    """Get the public keys that verify access tokens (RFC 7517)."""
    keys = (await flows(request).tokens.public_keys()).keys
    return discovery.cacheable(PublicKeys(keys=keys))


@routes.on(
    "GET",
    discovery.DISCOVERY_PATH,
    returns=discovery.OpenIdConfiguration,
    refuses=[ErrorCode.NOT_FOUND],
    reads=True,
)
async def show_openid_configuration(request: web.Request) -> web.Response:
    """Get the issuer of access tokens and the address of its keys (OpenID Connect), if the issuer is a URL."""
    return discovery.cacheable(discovery.openid_configuration(await flows(request).tokens.public_keys()))


def _rendered(account: WholeAccount) -> bytes:
    return json_of(Account.model_validate(account))


async def _log_in(request: web.Request, fields: LogInWithPassword | LogInWithTicket) -> NewSession:
    caller = DIALECT.caller(request, fields.client)
    if isinstance(fields, LogInWithTicket):
        return await flows(request).tokens.log_in_with_code(caller, fields.ticket)
    number = flows(request).numbers.parse(fields.phone)
    try:
        return await flows(request).tokens.log_in_with_password(caller, number, Password.from_plain(fields.password))
    except ServiceError as error:
        if error.code is ErrorCode.CALLER_LIMIT:
            raise LogInLimitError(error.retry_after) from error
        raise


async def _set_password(request: web.Request, fields: ChangePassword | ResetPassword) -> Granted:
    caller, password = DIALECT.caller(request, fields.client), Password.from_plain(fields.password)
    if isinstance(fields, ResetPassword):
        return (await flows(request).tokens.reset_password(caller, fields.ticket, password)).tokens
    session = await session_of(request)
    current = Password.from_plain(fields.current)
    return await flows(request).self_service.change_password(caller, session, current, password)


def _subject(request: web.Request, fields: CheckChallenge | CheckNumber) -> tuple[Purpose, E164 | UUID]:
    """The purpose of the code, and its number or its verification."""
    if isinstance(fields, CheckChallenge):
        return read_challenge(fields.challenge)
    return fields.purpose, flows(request).numbers.parse(fields.phone)


def render_error(error: ServiceError, _: str) -> web.Response:
    """Render the refusal as a problem document, the same one for every path."""
    return problem(error)


DIALECT = Dialect(
    name="native",
    about=__doc__,
    routes=routes,
    owns=re.compile(r"/v2(/.*)?|/\.well-known/(jwks\.json|openid-configuration)"),
    render_error=render_error,
    refusal=Problem,
    fields=FIELDS,
    refusal_code="code",
    for_new_apps=True,
)
