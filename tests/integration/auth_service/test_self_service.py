"""What a user does with his own account, over a real PostgreSQL: password, profile, sessions, erasure, code sign-in."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from hashlib import md5
from typing import Any
from uuid import UUID, uuid4

import pytest
from support.auth import Auth, fresh_address, fresh_number, fresh_secret, refusal, running
from support.patience import until_taken

from auth_service.passwords import failure_limits
from auth_service.passwords.hasher import PasswordHasher
from auth_service.sessions.code_login import MAX_REPEATS
from auth_service.sessions.session_store import MAX_SESSIONS
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PROFILE,
    END_OTHERS,
    ERASE,
    GRANT,
    LIST_SESSIONS,
    LOG_IN_WITH_CODE,
    LOOK_UP,
    REFRESH,
    REGISTER,
    RESET_PASSWORD,
    RESOLVE,
    ChangePassword,
    ChangeProfile,
    EndOthers,
    Erase,
    Grant,
    ListSessions,
    LoggedIn,
    LogInWithCode,
    LookUp,
    Refresh,
    Register,
    ResetPassword,
    Resolve,
)
from shared.internal_api.sms import Purpose
from shared.phone import E164


@pytest.fixture(scope="module")
async def auth(postgres_url: str, amqp_url: str) -> AsyncIterator[Auth]:
    async with running(postgres_url, amqp_url) as auth:
        yield auth


def registering(ticket: str, secret: str | None, **more: Any) -> Register:
    return Register(ticket=ticket, secret=secret, dialect="native", client="test", **more)


def changing(user: LoggedIn, current: str, secret: str, address: str | None = None) -> ChangePassword:
    return ChangePassword(
        user_id=user.account.user_id,
        session_id=user.session_id,
        phone=user.account.phone,
        current=current,
        secret=secret,
        address=address or fresh_address(),
        dialect="native",
    )


def erasing(user: LoggedIn) -> Erase:
    return Erase(user_id=user.account.user_id, dialect="native", client="test")


async def dead(auth: Auth, token: str) -> bool:
    return await refusal(auth.call(RESOLVE, Resolve(token=token))) is ErrorCode.UNAUTHENTICATED


async def living(auth: Auth, token: str) -> UUID:
    session_id: UUID = (await auth.call(RESOLVE, Resolve(token=token))).session_id
    return session_id


async def told(auth: Auth, kind: str, user_id: int, count: int = 1) -> list[dict[str, Any]]:
    return await auth.listener.wait_for(
        count, lambda event: event["type"] == kind and event["data"].get("user_id") == str(user_id)
    )


async def test_an_account_may_have_no_password(auth: Auth) -> None:
    number = fresh_number()
    ticket = auth.ticket(number)

    made = await auth.call(REGISTER, registering(ticket, None, nickname="Anna"))
    again = await auth.call(REGISTER, registering(ticket, None, nickname="Anna"))

    assert made.account.nickname == "Anna"
    assert again.account.user_id == made.account.user_id
    assert again.session_id != made.session_id
    assert await refusal(auth.call(REGISTER, registering(ticket, fresh_secret()))) is ErrorCode.CODE_REFUSED
    assert await refusal(auth.log_in(number, fresh_secret())) is ErrorCode.CREDENTIALS_REFUSED


async def test_an_account_with_a_password_is_not_entered_by_a_repeat_without_one(auth: Auth) -> None:
    ticket = auth.ticket(fresh_number())
    await auth.call(REGISTER, registering(ticket, fresh_secret()))

    assert await refusal(auth.call(REGISTER, registering(ticket, None))) is ErrorCode.CODE_REFUSED


async def test_a_hundred_registrations_at_once_without_a_password_make_one_account(auth: Auth) -> None:
    number = fresh_number()
    ticket = auth.ticket(number)

    made = await asyncio.gather(
        *(until_taken(partial(auth.clients[i % 2].call, REGISTER, registering(ticket, None))) for i in range(100))
    )

    assert len({each.account.user_id for each in made}) == 1
    assert await auth.database.fetchval("select count(*) from accounts where phone = $1", number) == 1


@pytest.mark.parametrize("spelling", ["{}", "+86{}", "86{}"])
async def test_a_password_that_is_the_tickets_number_is_refused_and_spends_nothing(auth: Auth, spelling: str) -> None:
    number = fresh_number()
    secret = md5(spelling.format(number[3:]).encode()).hexdigest()
    up, back = auth.ticket(number), auth.ticket(number, Purpose.RESET_PASSWORD)

    assert await refusal(auth.call(REGISTER, registering(up, secret))) is ErrorCode.PASSWORD_LENGTH
    made = await auth.call(REGISTER, registering(up, fresh_secret()))
    reset = ResetPassword(ticket=back, secret=secret, dialect="native")
    assert await refusal(auth.call(RESET_PASSWORD, reset)) is ErrorCode.PASSWORD_LENGTH
    assert await living(auth, made.token) == made.session_id


async def test_a_changed_password_keeps_this_session_ends_the_others_and_is_told(auth: Auth) -> None:
    number, old, new = fresh_number(), fresh_secret(), fresh_secret()
    other, user = await auth.register(number, old), await auth.log_in(number, old)
    theirs = await auth.call(GRANT, Grant(token=other.token))

    await auth.call(CHANGE_PASSWORD, changing(user, old, new))

    assert await living(auth, user.token) == user.session_id
    assert await dead(auth, other.token)
    assert await dead(auth, theirs.access_token)
    assert await refusal(auth.log_in(number, old)) is ErrorCode.CREDENTIALS_REFUSED
    assert (await auth.log_in(number, new)).account.version == 2
    (event,) = await told(auth, "auth.password.changed.v1", user.account.user_id)
    assert (event["version"], event["data"]["cause"], event["data"]["sessions_revoked"]) == (2, "change", 1)
    (ended,) = await told(auth, "auth.session.revoked.v1", user.account.user_id)
    assert (ended["data"]["session_id"], ended["data"]["cause"]) == (str(other.session_id), "change_password")


async def test_guesses_at_the_current_password_are_limited_as_log_ins_are(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    user = await auth.register(number, secret)

    async def guess(place: int) -> ErrorCode:
        request = changing(user, fresh_secret(), secret, address)
        return await refusal(until_taken(lambda: auth.clients[place % 2].call(CHANGE_PASSWORD, request)))

    refusals = await asyncio.gather(*map(guess, range(30)))

    assert refusals.count(ErrorCode.CREDENTIALS_REFUSED) == failure_limits.MAX_PER_NUMBER
    assert refusals.count(ErrorCode.CALLER_LIMIT) == 30 - failure_limits.MAX_PER_NUMBER
    assert await refusal(auth.call(CHANGE_PASSWORD, changing(user, secret, secret, address))) is ErrorCode.CALLER_LIMIT
    assert await refusal(auth.log_in(number, secret, address)) is ErrorCode.CALLER_LIMIT


async def test_a_right_current_password_gives_its_charge_back(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    user = await auth.register(number, secret)

    for _ in range(failure_limits.MAX_PER_NUMBER + 2):
        await auth.call(CHANGE_PASSWORD, changing(user, secret, secret, address))


async def test_of_two_changes_at_once_one_wins(auth: Auth) -> None:
    number, old, new = fresh_number(), fresh_secret(), [fresh_secret(), fresh_secret()]
    user = await auth.register(number, old)

    async def change(place: int) -> bool:
        try:
            request = changing(user, old, new[place])
            await until_taken(lambda: auth.clients[place].call(CHANGE_PASSWORD, request))
        except ServiceError as refused:
            assert refused.code is ErrorCode.CREDENTIALS_REFUSED
            return False
        return True

    won = await asyncio.gather(change(0), change(1))

    assert sorted(won) == [False, True]
    assert (await auth.log_in(number, new[won.index(True)])).account.user_id == user.account.user_id


async def test_a_profile_changes_by_what_is_given_and_is_told_with_its_version(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    user_id = user.account.user_id

    changed = await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id, nickname="李雷", discoverable=False))
    same = await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id))
    back = await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id, discoverable=True, gender="male", motto="m"))

    assert (changed.nickname, changed.discoverable, changed.version) == ("李雷", False, 2)
    assert same == changed
    assert (back.nickname, back.gender, back.motto, back.discoverable, back.version) == ("李雷", "male", "m", True, 3)
    events = await told(auth, "auth.user.updated.v1", user_id, 2)
    assert {(event["version"], event["data"]["discoverable"]) for event in events} == {(2, False), (3, True)}
    assert all(event["data"]["nickname"] == "李雷" for event in events)


async def test_sessions_are_listed_newest_first_and_all_but_one_end(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    first = await auth.register(number, secret)
    second, third = await auth.log_in(number, secret), await auth.log_in(number, secret)
    user_id = first.account.user_id
    old = "update sessions set expires_at = now() where session_id = $1"
    await auth.database.execute(old, first.session_id)

    listed = (await auth.call(LIST_SESSIONS, ListSessions(user_id=user_id))).sessions
    await auth.call(END_OTHERS, EndOthers(user_id=user_id, session_id=second.session_id))

    assert [each.session_id for each in listed] == [third.session_id, second.session_id]
    left = (await auth.call(LIST_SESSIONS, ListSessions(user_id=user_id))).sessions
    assert [each.session_id for each in left] == [second.session_id]
    assert await dead(auth, third.token)


async def test_an_erased_account_leaves_nothing_of_its_user_behind(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    assert await refusal(auth.log_in(number, secret)) is ErrorCode.CREDENTIALS_REFUSED
    user = await auth.call(REGISTER, registering(auth.ticket(number), secret, nickname="Erasmus", name=number[3:]))
    await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user.account.user_id, motto="erase this motto"))
    granted = await auth.call(GRANT, Grant(token=user.token))
    await told(auth, "auth.user.updated.v1", user.account.user_id)

    await auth.call(ERASE, erasing(user))

    assert await dead(auth, user.token)
    assert await dead(auth, granted.access_token)
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [False]
    assert await refusal(auth.call(ERASE, erasing(user))) is ErrorCode.UNAUTHENTICATED
    (event,) = await told(auth, "auth.user.deleted.v1", user.account.user_id)
    assert event["version"] == 3
    assert (event["data"]["nickname"], event["data"]["avatar"], event["data"]["disabled"]) == ("", "", True)
    (ended,) = await told(auth, "auth.session.revoked.v1", user.account.user_id)
    assert ended["data"]["cause"] == "erased"
    await told(auth, "auth.user.deleted.v1", user.account.user_id)
    personal = {number[3:], "Erasmus", "erase this motto", str(auth.phones.ref(number))}
    for (table,) in await auth.database.fetch("select tablename from pg_tables where schemaname = 'public'"):
        if table in {"outbox", "login_failures"}:  # emptied by the relay, and within 15 minutes
            continue
        rows = "\n".join(str(tuple(row)) for row in await auth.database.fetch(f'select * from "{table}"'))
        assert [value for value in personal if value in rows] == [], table
        assert table == "spent_tickets" or str(user.account.user_id) not in rows, table


async def test_an_erased_number_is_free_at_once_and_old_tickets_open_nothing(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    spent, way_in = auth.ticket(number), auth.ticket(number, Purpose.SIGN_IN)
    user = await auth.call(REGISTER, registering(spent, secret, name=number[3:]))
    await auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=way_in, dialect="native"))
    await auth.call(ERASE, erasing(user))

    assert await refusal(auth.call(REGISTER, registering(spent, secret, name=number[3:]))) is ErrorCode.CODE_REFUSED
    assert (
        await refusal(auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=way_in, dialect="native")))
        is ErrorCode.NO_ACCOUNT
    )
    anew = await auth.call(REGISTER, registering(auth.ticket(number), secret, name=number[3:]))
    assert anew.account.user_id != user.account.user_id
    assert (
        await refusal(auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=way_in, dialect="native")))
        is ErrorCode.CODE_REFUSED
    )


async def test_a_log_in_never_outlives_an_erasure(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)

    async def log_in(place: int) -> None:
        try:
            request = LogInWithCode(ticket=auth.ticket(number, Purpose.SIGN_IN), dialect="native")
            await until_taken(lambda: auth.clients[place % 2].call(LOG_IN_WITH_CODE, request))
        except ServiceError as refused:
            assert refused.code in {ErrorCode.NO_ACCOUNT, ErrorCode.CODE_REFUSED}

    await asyncio.gather(*map(log_in, range(10)), auth.call(ERASE, erasing(user)), *map(log_in, range(10)))

    left = "select count(*) from sessions where user_id = $1"
    assert await auth.database.fetchval(left, user.account.user_id) == 0


async def test_a_banned_account_can_neither_be_changed_nor_erased(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    await auth.database.execute("update accounts set banned_at = now() where user_id = $1", user.account.user_id)

    change = ChangeProfile(user_id=user.account.user_id, nickname="x")
    assert await refusal(auth.call(CHANGE_PROFILE, change)) is ErrorCode.UNAUTHENTICATED
    assert await refusal(auth.call(ERASE, erasing(user))) is ErrorCode.UNAUTHENTICATED


async def test_a_code_alone_opens_a_session(auth: Auth) -> None:
    number: E164 = fresh_number()
    user = await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, Purpose.SIGN_IN)

    entered = await auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native", client="watch"))
    again = await auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native", client="watch"))

    assert entered.account.user_id == again.account.user_id == user.account.user_id
    assert entered.session_id != again.session_id
    assert (await auth.actions(number))[-2:] == ["log_in_with_code.succeeded"] * 2


async def test_a_ticket_opens_six_sessions_and_no_more(auth: Auth) -> None:
    number = fresh_number()
    await auth.register(number, fresh_secret())
    request = LogInWithCode(ticket=auth.ticket(number, Purpose.SIGN_IN), dialect="native")
    asked = [until_taken(partial(auth.clients[place % 2].call, LOG_IN_WITH_CODE, request)) for place in range(10)]

    outcomes = await asyncio.gather(*asked, return_exceptions=True)

    refused = [outcome.code for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert refused == [ErrorCode.CODE_REFUSED] * (9 - MAX_REPEATS)


async def crowd(auth: Auth, user: LoggedIn, sessions: int) -> None:
    """Give the user so many sessions, each opened a minute before the one before it; the first a minute ago."""
    await auth.database.execute(
        "insert into sessions (token_hash, session_id, user_id, client, dialect, opened_at, expires_at)"
        " select sha256(gen_random_uuid()::text::bytea), gen_random_uuid(), $1, 'crowd', 'native',"
        " now() - make_interval(mins => n), now() + interval '1 day' from generate_series(1, $2) n",
        user.account.user_id,
        sessions,
    )


async def test_the_hundred_and_first_session_ends_the_oldest_and_tells(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    granted = await auth.call(GRANT, Grant(token=user.token))
    await crowd(auth, user, MAX_SESSIONS - 1)
    await auth.database.execute(
        "update sessions set opened_at = opened_at - interval '1 day' where session_id = $1", user.session_id
    )

    entered = await auth.log_in(number, secret)

    assert await dead(auth, user.token)
    assert await refusal(auth.call(REFRESH, Refresh(refresh_token=granted.refresh_token))) is ErrorCode.UNAUTHENTICATED
    assert await living(auth, entered.token) == entered.session_id
    listed = (await auth.call(LIST_SESSIONS, ListSessions(user_id=user.account.user_id))).sessions
    assert len(listed) == MAX_SESSIONS
    (ended,) = await told(auth, "auth.session.revoked.v1", user.account.user_id)
    assert (ended["data"]["session_id"], ended["data"]["cause"]) == (str(user.session_id), "crowded_out")


async def test_sessions_opened_at_once_are_a_hundred_too(auth: Auth) -> None:
    number = fresh_number()
    user = await auth.register(number, fresh_secret())
    await crowd(auth, user, MAX_SESSIONS - 2)
    tickets = [auth.ticket(number, Purpose.SIGN_IN) for _ in range(20)]

    entered = await asyncio.gather(
        *(
            until_taken(
                partial(auth.clients[place % 2].call, LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native"))
            )
            for place, ticket in enumerate(tickets)
        )
    )

    left = "select session_id from sessions where user_id = $1"
    kept = {row[0] for row in await auth.database.fetch(left, user.account.user_id)}
    assert len(kept) == MAX_SESSIONS
    assert {each.session_id for each in entered} <= kept


async def test_far_too_many_sessions_shrink_with_every_opening(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    await crowd(auth, user, 1_500)

    for _ in range(2):
        await auth.log_in(number, secret)

    left = "select count(*) from sessions where user_id = $1"
    assert await auth.database.fetchval(left, user.account.user_id) == MAX_SESSIONS


async def test_a_right_password_is_no_failure_when_the_new_one_is_not_hashed(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    user = await auth.register(number, secret)

    async def shed(*_: object) -> None:
        raise ServiceError(ErrorCode.UNAVAILABLE, retry_after=3)

    with monkeypatch.context() as patch:
        patch.setattr(PasswordHasher, "hash", shed)
        for _ in range(failure_limits.MAX_PER_NUMBER + 1):
            request = changing(user, secret, fresh_secret(), address)
            assert await refusal(auth.call(CHANGE_PASSWORD, request)) is ErrorCode.UNAVAILABLE

    await auth.call(CHANGE_PASSWORD, changing(user, secret, fresh_secret(), address))


async def test_a_ticket_that_was_spent_before_the_password_changed_opens_nothing(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    ticket, unspent = (auth.ticket(number, Purpose.SIGN_IN) for _ in range(2))
    await auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native"))
    await auth.call(CHANGE_PASSWORD, changing(user, secret, fresh_secret()))

    assert (
        await refusal(auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native")))
        is ErrorCode.CODE_REFUSED
    )
    assert (
        await auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=unspent, dialect="native"))
    ).account.user_id == user.account.user_id


async def test_signing_in_wants_a_ticket_for_it_and_an_account(auth: Auth) -> None:
    number = fresh_number()
    wrong = auth.ticket(number)
    late = auth.ticket(number, Purpose.SIGN_IN, verification_id=uuid4(), left=timedelta(seconds=-1))

    before = await auth.database.fetchval("select count(*) from audit_log")
    for ticket in (wrong, late, "nonsense"):
        assert (
            await refusal(auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native")))
            is ErrorCode.CODE_REFUSED
        )
    assert await auth.database.fetchval("select count(*) from audit_log") == before
    ticket = auth.ticket(number, Purpose.SIGN_IN)
    assert (
        await refusal(auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native")))
        is ErrorCode.NO_ACCOUNT
    )
    assert await auth.actions(number) == ["log_in_with_code.refused"]
