"""Sessions on a real PostgreSQL: how long they live, their list, and how many a user has."""

import asyncio
from datetime import timedelta
from functools import partial

from support.auth import Auth, code_login, fresh_number, fresh_secret, refusal
from support.login_limits import LIMITS
from support.patience import until_accepted

from auth_service.sessions.model import MAX_SESSIONS
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    END_OTHERS,
    GRANT,
    LIST_SESSIONS,
    LOG_IN_WITH_CODE,
    REFRESH,
    RESOLVE,
    EndOthers,
    Grant,
    ListSessions,
    LoggedIn,
    Refresh,
    Resolve,
)
from shared.internal_api.sms import Purpose
from shared.networks import RequestSource
from shared.phone import E164


async def test_an_unknown_token_is_refused(auth: Auth) -> None:
    for token in ("", "x", "\0", "字", "A" * 256):
        assert await refusal(auth.call(RESOLVE, Resolve(token=token))) is ErrorCode.UNAUTHENTICATED


async def _expires_in(auth: Auth, session_id: object) -> timedelta:
    found = await auth.database.fetchval("select expires_at - now() from sessions where session_id = $1", session_id)
    assert isinstance(found, timedelta)
    return found


async def _age(auth: Auth, session_id: object, past: timedelta) -> None:
    await auth.database.execute(
        "update sessions set expires_at = expires_at - $2::interval where session_id = $1", session_id, past
    )


async def test_using_a_session_extends_it_at_most_once_a_day(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())

    await _age(auth, user.session_id, timedelta(hours=23))
    await auth.call(RESOLVE, Resolve(token=user.token))
    assert await _expires_in(auth, user.session_id) < timedelta(days=29, hours=2)

    await _age(auth, user.session_id, timedelta(hours=2))
    await auth.call(RESOLVE, Resolve(token=user.token))
    assert await _expires_in(auth, user.session_id) > timedelta(days=29, hours=23)


async def test_a_session_expires_after_thirty_days_without_use(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())

    await _age(auth, user.session_id, timedelta(days=30))

    assert await refusal(auth.call(RESOLVE, Resolve(token=user.token))) is ErrorCode.UNAUTHENTICATED


async def test_sessions_are_listed_newest_first_and_all_others_can_be_ended(auth: Auth) -> None:
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
    assert await auth.has_ended(third.token)


async def crowd(auth: Auth, user: LoggedIn, sessions: int) -> None:
    """Give the user this many sessions, opened one, two, three… minutes ago."""
    await auth.database.execute(
        "insert into sessions (token_hash, session_id, user_id, client, dialect, opened_at, expires_at)"
        " select sha256(gen_random_uuid()::text::bytea), gen_random_uuid(), $1, 'crowd', 'native',"
        " now() - make_interval(mins => n), now() + interval '1 day' from generate_series(1, $2) n",
        user.account.user_id,
        sessions,
    )


async def test_the_hundred_and_first_session_ends_the_oldest_and_publishes_that(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    granted = await auth.call(GRANT, Grant(token=user.token))
    await crowd(auth, user, MAX_SESSIONS - 1)
    await auth.database.execute(
        "update sessions set opened_at = opened_at - interval '1 day' where session_id = $1", user.session_id
    )

    entered = await auth.log_in(number, secret)

    assert await auth.has_ended(user.token)
    assert await refusal(auth.call(REFRESH, Refresh(refresh_token=granted.refresh_token))) is ErrorCode.UNAUTHENTICATED
    assert await auth.session_of(entered.token) == entered.session_id
    listed = (await auth.call(LIST_SESSIONS, ListSessions(user_id=user.account.user_id))).sessions
    assert len(listed) == MAX_SESSIONS
    (ended,) = await auth.listener.of_user(user.account.user_id, 1, "auth.session.revoked.v1")
    assert (ended["data"]["session_id"], ended["data"]["cause"]) == (str(user.session_id), "crowded_out")


async def test_a_log_in_beside_many_sessions_opens_one_and_counts_once(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    await crowd(auth, user, MAX_SESSIONS // 2)

    await auth.log_in(number, secret)

    listed = (await auth.call(LIST_SESSIONS, ListSessions(user_id=user.account.user_id))).sessions
    assert len(listed) == MAX_SESSIONS // 2 + 2
    assert (await auth.actions(number)).count("log_in_with_password.succeeded") == 1
    (bucket,) = LIMITS.success_buckets(auth.phones.ref(E164(number)), RequestSource(None), is_known=True)
    used = await auth.database.fetchval("select full_at - now() from login_limits where bucket = $1", bucket.name)
    assert round(used / bucket.interval) == 1


async def test_concurrent_log_ins_leave_a_hundred_sessions(auth: Auth) -> None:
    number = fresh_number()
    user = await auth.register(number, fresh_secret())
    await crowd(auth, user, MAX_SESSIONS - 2)
    tickets = [auth.ticket(number, Purpose.SIGN_IN) for _ in range(20)]

    entered = await asyncio.gather(
        *(
            until_accepted(partial(auth.clients[index % 2].call, LOG_IN_WITH_CODE, code_login(ticket)))
            for index, ticket in enumerate(tickets)
        )
    )

    left = "select session_id from sessions where user_id = $1"
    kept = {row[0] for row in await auth.database.fetch(left, user.account.user_id)}
    assert len(kept) == MAX_SESSIONS
    assert {each.session_id for each in entered} <= kept


async def test_far_too_many_sessions_become_fewer_with_each_log_in(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    await crowd(auth, user, 1_500)

    for _ in range(2):
        await auth.log_in(number, secret)

    left = "select count(*) from sessions where user_id = $1"
    assert await auth.database.fetchval(left, user.account.user_id) == MAX_SESSIONS
