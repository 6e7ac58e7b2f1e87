"""The operations that end sessions, on a real PostgreSQL: they leave no session and no refresh token behind."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from support.auth import HOME, OPERATOR, Auth, fresh_number, fresh_secret, password_change, password_reset, refusal

from auth_service.audit import AuditEntry
from auth_service.client_context import ClientContext
from auth_service.lifecycle.bans import Bans
from auth_service.lifecycle.bans_store import BansStore
from auth_service.lifecycle.password_reset_store import PasswordResetStore
from auth_service.lifecycle.redemption import ConflictError
from auth_service.sessions.code_login import CAUSE
from auth_service.sessions.code_login_store import CodeLoginStore
from auth_service.sessions.model import NewSession, hash_token
from auth_service.sessions.session_opener import SessionOpener
from auth_service.sessions.session_store import SessionStore, end_sessions
from auth_service.tokens.refresh_token_store import ADD_FIRST
from shared import postgres
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PHONE,
    END_OTHERS,
    END_SESSION,
    GRANT,
    REFRESH,
    RESET_PASSWORD,
    ChangePhone,
    EndOthers,
    EndSession,
    Grant,
    LoggedIn,
    Refresh,
)
from shared.internal_api.sms import Purpose
from shared.phone import E164
from shared.tickets import Ticket


@dataclass(frozen=True)
class User:
    """A user with two sessions, each with a replaced and a usable refresh token."""

    number: E164
    secret: str
    asking: LoggedIn
    other: LoggedIn

    @property
    def user_id(self) -> int:
        return self.asking.account.user_id


async def new_user(auth: Auth) -> User:
    number, secret = fresh_number(), fresh_secret()
    other, asking = await auth.register(number, secret), await auth.log_in(number, secret)
    for session in (asking, other):
        granted = await auth.call(GRANT, Grant(token=session.token))
        await auth.call(REFRESH, Refresh(refresh_token=granted.refresh_token))
    return User(number, secret, asking, other)


async def left(auth: Auth, user: User) -> tuple[set[UUID], set[UUID]]:
    """The user's sessions of the two, and the sessions of their refresh tokens."""
    ids = [user.asking.session_id, user.other.session_id]
    sessions = await auth.database.fetch("select session_id from sessions where session_id = any ($1)", ids)
    tokens = await auth.database.fetch("select session_id from refresh_tokens where session_id = any ($1)", ids)
    return {row[0] for row in sessions}, {row[0] for row in tokens}


async def reset(auth: Auth, user: User) -> None:
    ticket = auth.ticket(user.number, Purpose.RESET_PASSWORD)
    await auth.call(RESET_PASSWORD, password_reset(ticket, fresh_secret()))


async def ban(auth: Auth, user: User) -> None:
    async with postgres.pool(auth.settings.postgres_url, auth.settings.auth_database) as pool:
        await Bans(BansStore(pool), auth.phones).ban(user.user_id, OPERATOR)


async def erase(auth: Auth, user: User) -> None:
    await auth.erase(user.user_id)


async def change_phone(auth: Auth, user: User) -> None:
    await auth.call(CHANGE_PHONE, phone_change(auth, user, fresh_number()))


def phone_change(auth: Auth, user: User, new: E164) -> ChangePhone:
    return ChangePhone(
        user_id=user.user_id,
        session_id=user.asking.session_id,
        old_ticket=auth.ticket(user.number, Purpose.CHANGE_PHONE),
        new_ticket=auth.ticket(new, Purpose.CHANGE_PHONE),
        address=HOME,
        dialect="native",
    )


async def change_password(auth: Auth, user: User) -> None:
    await auth.call(CHANGE_PASSWORD, password_change(user.asking, user.secret, fresh_secret()))


async def end_others(auth: Auth, user: User) -> None:
    await auth.call(END_OTHERS, EndOthers(user_id=user.user_id, session_id=user.asking.session_id))


async def end_one(auth: Auth, user: User) -> None:
    await auth.call(END_SESSION, EndSession(user_id=user.user_id, session_id=user.other.session_id))


Operation = Callable[[Auth, User], Awaitable[None]]


@pytest.mark.parametrize(("operation", "cause"), [(reset, "reset_password"), (ban, "ban"), (erase, "erased")])
async def test_every_session_and_every_refresh_token_ends(auth: Auth, operation: Operation, cause: str) -> None:
    user = await new_user(auth)

    await operation(auth, user)

    assert await left(auth, user) == (set(), set())
    assert await auth.has_ended(user.asking.token)
    revoked = await auth.listener.of_user(user.user_id, 2, "auth.session.revoked.v1")
    assert {event["subject"] for event in revoked} == {str(user.asking.session_id), str(user.other.session_id)}
    assert {event["data"]["cause"] for event in revoked} == {cause}


@pytest.mark.parametrize(
    ("operation", "cause"),
    [
        (change_phone, "change_phone"),
        (change_password, "change_password"),
        (end_others, "ended_by_user"),
        (end_one, "ended_by_user"),
    ],
)
async def test_every_session_but_the_one_that_asked_ends(auth: Auth, operation: Operation, cause: str) -> None:
    user = await new_user(auth)

    await operation(auth, user)

    assert await left(auth, user) == ({user.asking.session_id}, {user.asking.session_id})
    assert await auth.session_of(user.asking.token) == user.asking.session_id
    assert await auth.has_ended(user.other.token)
    (revoked,) = await auth.listener.of_user(user.user_id, 1, "auth.session.revoked.v1")
    assert (revoked["subject"], revoked["data"]["cause"]) == (str(user.other.session_id), cause)


async def test_a_repeated_change_of_number_ends_no_session(auth: Auth) -> None:
    user, new = await new_user(auth), fresh_number()
    request = phone_change(auth, user, new)
    await auth.call(CHANGE_PHONE, request)
    later = await auth.log_in(new, user.secret)

    await auth.call(CHANGE_PHONE, request)

    assert await auth.session_of(later.token) == later.session_id
    assert await auth.session_of(user.asking.token) == user.asking.session_id


async def test_a_log_in_with_the_old_number_does_not_survive_a_change_of_number(auth: Auth) -> None:
    user = await new_user(auth)
    async with postgres.pool(auth.settings.postgres_url, auth.settings.auth_database) as pool:
        account = await CodeLoginStore(pool).find_account(user.number)
        assert account is not None
        await change_phone(auth, user)  # after the log-in has read the account, and before it opens its session
        opener = SessionOpener(SessionStore(pool, lambda: None))
        entry = AuditEntry(CAUSE, None, ClientContext("native", ""))

        opening = opener.open_with_ticket(account, entry, cause=CAUSE)

        assert await refusal(opening) is ErrorCode.CODE_REFUSED
    count = "select count(*) from sessions where user_id = $1"
    assert await auth.database.fetchval(count, user.user_id) == 1


async def test_a_reset_with_the_old_number_does_not_survive_a_change_of_number(auth: Auth) -> None:
    user = await new_user(auth)
    verified = Ticket(uuid4(), user.number, Purpose.RESET_PASSWORD, datetime.now(UTC))
    await change_phone(auth, user)  # after the reset has read the account, and before it sets the password
    async with postgres.pool(auth.settings.postgres_url, auth.settings.auth_database) as pool:
        session = NewSession(user.user_id, ClientContext("native", ""))
        entry = AuditEntry("reset_password.succeeded", None, session.context, user.user_id)

        with pytest.raises(ConflictError):
            await PasswordResetStore(pool, lambda: None).reset(verified, "a hash", session, entry)

    count = "select count(*) from spent_tickets where verification_id = $1"
    assert await auth.database.fetchval(count, verified.verification_id) == 0
    assert await auth.session_of(user.asking.token) == user.asking.session_id


async def test_a_refresh_token_that_is_being_granted_ends_with_its_session(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    async with auth.database.acquire() as other, other.transaction():  # a grant that has not committed yet
        await other.execute(ADD_FIRST, hash_token(user.token), hash_token("a refresh token"), uuid4())
        request = EndSession(user_id=user.account.user_id, session_id=user.session_id)
        ending = asyncio.create_task(auth.call(END_SESSION, request))
        await auth.wait_for_locks(1)

    await ending
    count = "select count(*) from refresh_tokens where session_id = $1"
    assert await auth.database.fetchval(count, user.session_id) == 0


async def test_a_grant_for_a_session_that_is_being_ended_is_refused(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    async with auth.database.acquire() as other, other.transaction():  # an end that has not committed yet
        await end_sessions(other, user.account.user_id, "ended_by_user")
        granting = asyncio.create_task(refusal(auth.call(GRANT, Grant(token=user.token))))
        await auth.wait_for_locks(1)

    assert await granting is ErrorCode.UNAUTHENTICATED
    count = "select count(*) from refresh_tokens where session_id = $1"
    assert await auth.database.fetchval(count, user.session_id) == 0
