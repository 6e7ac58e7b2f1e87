"""Access and refresh tokens on a real PostgreSQL: rotation, reuse, revocation."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from joserfc import jws
from support.auth import Auth, fresh_number, fresh_secret, password_change, refusal, serving, settings_for
from support.patience import until_accepted

from auth_service.sessions.model import hash_token
from auth_service.tokens.access_tokens import AccessTokens
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    END_SESSION,
    GRANT,
    REFRESH,
    RESOLVE,
    EndSession,
    Grant,
    Granted,
    LoggedIn,
    Refresh,
    Resolve,
)
from shared.internal_api.endpoint import Empty
from shared.internal_api.public_keys import READ_KEYS
from shared.keys import KeyRing


async def new_session(auth: Auth) -> tuple[LoggedIn, Granted]:
    """The session of a new user, and its first tokens."""
    opened = await auth.register(fresh_number(), fresh_secret())
    return opened, await auth.call(GRANT, Grant(token=opened.token))


async def refreshed(auth: Auth, token: str, index: int = 0) -> Granted:
    request = Refresh(refresh_token=token)
    granted: Granted = await until_accepted(lambda: auth.clients[index % 2].call(REFRESH, request))
    return granted


async def refused(auth: Auth, token: str) -> bool:
    return await refusal(refreshed(auth, token)) is ErrorCode.UNAUTHENTICATED


async def age(auth: Auth, token: str, seconds: int) -> None:
    """Let a refresh token be used this much earlier."""
    await auth.database.execute(
        "update refresh_tokens set spent_at = spent_at - $2::interval where token_hash = $1",
        hash_token(token),
        timedelta(seconds=seconds),
    )


async def revocation(auth: Auth, session_id: UUID) -> dict[str, Any]:
    """The data of the event that the session was revoked."""

    def matches(event: dict[str, Any]) -> bool:
        return event["type"] == "auth.session.revoked.v1" and event["subject"] == str(session_id)

    (event,) = await auth.listener.wait_for(1, matches)
    return dict(event["data"])


async def test_a_grant_gives_two_tokens_for_its_session(auth: Auth) -> None:
    opened, granted = await new_session(auth)

    assert granted.expires_in == 900
    assert await auth.session_of(granted.access_token) == await auth.session_of(opened.token) == opened.session_id
    assert await auth.has_ended(granted.refresh_token)
    assert await refusal(auth.call(GRANT, Grant(token=granted.refresh_token))) is ErrorCode.UNAUTHENTICATED


async def test_a_refresh_gives_the_next_pair_and_keeps_the_session(auth: Auth) -> None:
    opened, first = await new_session(auth)

    second = await refreshed(auth, first.refresh_token)
    third = await refreshed(auth, second.refresh_token)

    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert len({first.access_token, second.access_token, third.access_token}) == 3
    assert await auth.session_of(third.access_token) == opened.session_id


async def test_a_hundred_concurrent_refreshes_of_one_token_leave_one_usable_token(auth: Auth) -> None:
    opened, first = await new_session(auth)

    answers = await asyncio.gather(*(refreshed(auth, first.refresh_token, index) for index in range(100)))

    assert len({answer.refresh_token for answer in answers}) == 1
    assert len({answer.access_token for answer in answers}) == 100
    kept = "select count(*) filter (where spent_at is null), count(*) from refresh_tokens where session_id = $1"
    assert tuple(await auth.database.fetchrow(kept, opened.session_id)) == (1, 2)
    assert {await auth.session_of(answer.access_token) for answer in answers[:5]} == {opened.session_id}
    assert (await refreshed(auth, answers[0].refresh_token)).refresh_token != answers[0].refresh_token


async def used_successor(auth: Auth, token: str, seconds: int = 31) -> Granted:
    """The tokens after the successor of this token, which was used this many seconds ago."""
    successor = (await refreshed(auth, token)).refresh_token
    granted = await refreshed(auth, successor)
    await age(auth, token, seconds)
    await age(auth, successor, seconds)
    return granted


@pytest.mark.parametrize("seconds", [31, 86_400, 29 * 86_400])
async def test_a_token_whose_successor_was_never_used_gives_it_again_however_late(auth: Auth, seconds: int) -> None:
    opened, first = await new_session(auth)
    lost = await refreshed(auth, first.refresh_token)
    await age(auth, first.refresh_token, seconds)

    again = await asyncio.gather(*(refreshed(auth, first.refresh_token, index) for index in range(10)))

    assert {answer.refresh_token for answer in again} == {lost.refresh_token}
    assert await auth.session_of(again[0].access_token) == opened.session_id
    assert (await refreshed(auth, lost.refresh_token)).refresh_token != lost.refresh_token


async def test_a_token_whose_successor_was_used_within_thirty_seconds_gives_the_usable_token(auth: Auth) -> None:
    _, first = await new_session(auth)
    third = await used_successor(auth, first.refresh_token, 29)

    assert (await refreshed(auth, first.refresh_token)).refresh_token == third.refresh_token


async def test_a_reuse_after_the_successor_was_used_ends_the_session_and_is_published(auth: Auth) -> None:
    opened, first = await new_session(auth)
    third = await used_successor(auth, first.refresh_token)

    assert await refused(auth, first.refresh_token)

    assert await refused(auth, third.refresh_token)
    assert await auth.has_ended(third.access_token)
    assert await auth.has_ended(opened.token)
    assert (await revocation(auth, opened.session_id))["cause"] == "refresh_reuse"
    assert "refresh_token.reused" in await auth.database.fetchval(
        "select array_agg(action) from audit_log where user_id = $1", opened.account.user_id
    )


async def change_password(auth: Auth, session: LoggedIn, secret: str) -> tuple[Granted, str]:
    """New tokens of the session, and the new secret."""
    new = fresh_secret()
    return await auth.call(CHANGE_PASSWORD, password_change(session, secret, new)), new


async def chained_session(auth: Auth) -> tuple[LoggedIn, Granted, Granted]:
    """A session with two pairs of tokens: from before and from after a change of password."""
    secret = fresh_secret()
    opened = await auth.register(fresh_number(), secret)
    before = await auth.call(GRANT, Grant(token=opened.token))
    return opened, before, (await change_password(auth, opened, secret))[0]


async def test_a_change_of_password_gives_new_tokens_of_the_same_session(auth: Auth) -> None:
    opened, before, after = await chained_session(auth)

    assert after.expires_in == 900
    assert after.refresh_token != before.refresh_token
    assert await auth.session_of(after.access_token) == opened.session_id
    assert await auth.session_of((await refreshed(auth, after.refresh_token)).access_token) == opened.session_id


async def test_a_client_that_lost_the_response_to_a_change_of_password_stays_logged_in(auth: Auth) -> None:
    opened, before, _ = await chained_session(auth)

    following = await refreshed(auth, before.refresh_token)
    again = await refreshed(auth, following.refresh_token)

    assert await auth.session_of(before.access_token) == await auth.session_of(again.access_token) == opened.session_id


async def test_the_first_use_of_the_new_tokens_ends_all_refresh_tokens_from_before(auth: Auth) -> None:
    opened, before, after = await chained_session(auth)
    following = await refreshed(auth, before.refresh_token)

    newest = await refreshed(auth, after.refresh_token)

    assert [await refused(auth, pair.refresh_token) for pair in (before, following)] == [True, True]
    again = await refreshed(auth, after.refresh_token)
    assert again.refresh_token == newest.refresh_token
    assert await auth.session_of((await refreshed(auth, newest.refresh_token)).access_token) == opened.session_id


async def test_a_reuse_within_the_new_tokens_ends_the_session(auth: Auth) -> None:
    opened, _, after = await chained_session(auth)
    await used_successor(auth, after.refresh_token)

    assert await refused(auth, after.refresh_token)
    assert await auth.has_ended(opened.token)


async def test_a_session_without_tokens_gets_some_with_a_change_of_password(auth: Auth) -> None:
    """Of a contract with one opaque token, which goes on working until the first use of the new ones."""
    secret = fresh_secret()
    opened = await auth.register(fresh_number(), secret)

    tokens, new_secret = await change_password(auth, opened, secret)

    assert await auth.session_of(opened.token) == await auth.session_of(tokens.access_token) == opened.session_id
    later, _ = await change_password(auth, opened, new_secret)
    assert await auth.session_of((await refreshed(auth, later.refresh_token)).access_token) == opened.session_id
    assert await auth.has_ended(opened.token)
    assert await refusal(auth.call(GRANT, Grant(token=opened.token))) is ErrorCode.UNAUTHENTICATED


async def test_the_first_use_of_the_new_tokens_ends_the_access_tokens_and_the_opaque_token_from_before(
    auth: Auth,
) -> None:
    opened, before, after = await chained_session(auth)
    repeated = await refreshed(auth, before.refresh_token)
    for access_token in (before.access_token, repeated.access_token, after.access_token):
        assert await auth.session_of(access_token) == opened.session_id

    newest = await refreshed(auth, after.refresh_token)

    for token in (opened.token, before.access_token, repeated.access_token):
        assert await auth.has_ended(token)
    tokens = (after.access_token, newest.access_token)
    assert await asyncio.gather(*map(auth.session_of, tokens)) == [opened.session_id] * 2
    third = await refreshed(auth, newest.refresh_token)
    assert await auth.session_of(third.access_token) == opened.session_id


async def test_only_the_newest_tokens_of_two_changes_end_the_others(auth: Auth) -> None:
    secret = fresh_secret()
    opened = await auth.register(fresh_number(), secret)
    first, second_secret = await change_password(auth, opened, secret)
    second, _ = await change_password(auth, opened, second_secret)

    await refreshed(auth, second.refresh_token)

    assert await refused(auth, first.refresh_token)


async def test_a_refused_change_of_password_gives_no_tokens(auth: Auth) -> None:
    opened = await auth.register(fresh_number(), fresh_secret())
    change = password_change(opened, fresh_secret(), fresh_secret())

    assert await refusal(auth.call(CHANGE_PASSWORD, change)) is ErrorCode.CREDENTIALS_REFUSED

    stored = "select count(*) from refresh_tokens where session_id = $1"
    assert await auth.database.fetchval(stored, opened.session_id) == 0


async def test_a_hundred_concurrent_reuses_end_the_session_once(auth: Auth) -> None:
    opened, first = await new_session(auth)
    await used_successor(auth, first.refresh_token)

    answers = await asyncio.gather(*(refused(auth, first.refresh_token) for _ in range(100)))

    assert all(answers)
    assert (await revocation(auth, opened.session_id))["cause"] == "refresh_reuse"
    assert await auth.database.fetchval("select count(*) from sessions where session_id = $1", opened.session_id) == 0


async def test_a_reuse_ends_no_other_session_of_the_user(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    stolen, other = await auth.register(number, secret), await auth.log_in(number, secret)
    first = await auth.call(GRANT, Grant(token=stolen.token))
    kept = await auth.call(GRANT, Grant(token=other.token))
    await used_successor(auth, first.refresh_token)

    assert await refused(auth, first.refresh_token)

    assert await auth.session_of((await refreshed(auth, kept.refresh_token)).access_token) == other.session_id


@pytest.mark.parametrize("end", ["end", "expire", "ban"])
async def test_every_token_ends_with_its_session(auth: Auth, end: str) -> None:
    opened, granted = await new_session(auth)

    match end:
        case "end":
            call = EndSession(user_id=opened.account.user_id, session_id=opened.session_id)
            await auth.call(END_SESSION, call)
            assert (await revocation(auth, opened.session_id))["cause"] == "ended_by_user"
        case "expire":
            past = "update sessions set expires_at = now() where session_id = $1"
            await auth.database.execute(past, opened.session_id)
        case "ban":
            shut = "update accounts set banned_at = now() where user_id = $1"
            await auth.database.execute(shut, opened.account.user_id)

    assert await auth.has_ended(granted.access_token)
    assert await refused(auth, granted.refresh_token)


async def test_a_refresh_extends_the_session_to_thirty_days(auth: Auth) -> None:
    opened, granted = await new_session(auth)
    soon = "update sessions set expires_at = now() + interval '1 minute' where session_id = $1"
    await auth.database.execute(soon, opened.session_id)

    await refreshed(auth, granted.refresh_token)

    left = "select expires_at - now() from sessions where session_id = $1"
    assert await auth.database.fetchval(left, opened.session_id) > timedelta(days=29, hours=23)


async def test_an_access_token_of_a_removed_key_or_an_unknown_session_is_refused(auth: Auth) -> None:
    opened, granted = await new_session(auth)
    now = datetime.now(UTC)
    current = AccessTokens(KeyRing.parse(auth.settings.jwt_keys.get_secret_value()), auth.settings.jwt_issuer)
    retired = AccessTokens(KeyRing.parse("9:" + "99" * 32), auth.settings.jwt_issuer)

    assert await auth.session_of(current.sign(opened.account.user_id, opened.session_id, now=now)) == opened.session_id
    assert await auth.has_ended(retired.sign(opened.account.user_id, opened.session_id, now=now))
    assert await auth.has_ended(current.sign(opened.account.user_id, UUID(int=7), now=now))
    assert await auth.has_ended(current.sign(1, opened.session_id, now=now - timedelta(minutes=16)))
    claims, _, signature = granted.access_token.rpartition(".")
    assert await auth.has_ended(f"{claims[:-4]}AAAA.{signature}")


async def test_the_public_keys_are_those_of_the_ring(auth: Auth) -> None:
    ring = AccessTokens(KeyRing.parse(auth.settings.jwt_keys.get_secret_value()), "haoma")

    assert await auth.call(READ_KEYS, Empty()) == ring.public_keys()


async def test_a_service_with_another_algorithm_accepts_the_tokens_of_before(
    auth: Auth, postgres_url: str, amqp_url: str
) -> None:
    opened, granted = await new_session(auth)
    changed = settings_for(postgres_url, amqp_url, auth.settings.auth_database, jwt_algorithm="ES256")

    async with serving(changed) as client:
        after = await client.call(REFRESH, Refresh(refresh_token=granted.refresh_token))
        resolved = await client.call(RESOLVE, Resolve(token=granted.access_token))
        keys = (await client.call(READ_KEYS, Empty())).keys

    assert jws.extract_compact(after.access_token.encode()).headers()["alg"] == "ES256"
    assert await auth.session_of(after.access_token) == resolved.session_id == opened.session_id
    assert [key.alg for key in keys] == ["ES256", "EdDSA"]


async def test_no_table_has_a_token(auth: Auth) -> None:
    opened, first = await new_session(auth)
    second = await refreshed(auth, first.refresh_token)
    tokens = [opened.token, *(token for pair in (first, second) for token in (pair.access_token, pair.refresh_token))]

    for (table,) in await auth.database.fetch("select tablename from pg_tables where schemaname = 'public'"):
        rows = "\n".join(str(tuple(row)) for row in await auth.database.fetch(f'select * from "{table}"'))
        assert not any(token in rows or token.encode().hex() in rows for token in tokens), table
