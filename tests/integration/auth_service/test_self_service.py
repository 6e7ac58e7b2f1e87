"""Changes that users make to their own account, on a real PostgreSQL: profile, password."""

import asyncio

import pytest
from support.auth import (
    Auth,
    fresh_address,
    fresh_number,
    fresh_secret,
    password_change,
    refusal,
)
from support.patience import until_accepted

from auth_service.passwords.hasher import PasswordHasher
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PROFILE,
    GRANT,
    ChangeProfile,
    Grant,
)

MAX_PER_NUMBER = 10
"""Wrong passwords for one number from one network: the default of ``CALLER_FAILED_LOGINS_PER_NUMBER``."""


async def test_a_profile_change_sets_the_given_fields_and_publishes_the_account_with_its_version(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    user_id = user.account.user_id

    changed = await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id, nickname="李雷", discoverable=False))
    same = await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id))
    back = await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user_id, discoverable=True, gender="male", motto="m"))

    assert (changed.nickname, changed.discoverable, changed.version) == ("李雷", False, 2)
    assert same == changed
    assert (back.nickname, back.gender, back.motto, back.discoverable, back.version) == ("李雷", "male", "m", True, 3)
    events = await auth.listener.of_user(user_id, 2, "auth.user.updated.v1")
    assert {(event["version"], event["data"]["discoverable"]) for event in events} == {(2, False), (3, True)}
    assert all(event["data"]["nickname"] == "李雷" for event in events)


async def test_a_password_change_keeps_this_session_ends_the_others_and_is_published(auth: Auth) -> None:
    number, old, new = fresh_number(), fresh_secret(), fresh_secret()
    other, user = await auth.register(number, old), await auth.log_in(number, old)
    other_tokens = await auth.call(GRANT, Grant(token=other.token))

    await auth.call(CHANGE_PASSWORD, password_change(user, old, new))

    assert await auth.session_of(user.token) == user.session_id
    assert await auth.has_ended(other.token)
    assert await auth.has_ended(other_tokens.access_token)
    assert await refusal(auth.log_in(number, old)) is ErrorCode.CREDENTIALS_REFUSED
    assert (await auth.log_in(number, new)).account.version == 2
    (event,) = await auth.listener.of_user(user.account.user_id, 1, "auth.password.changed.v1")
    assert (event["version"], event["data"]["cause"], event["data"]["sessions_revoked"]) == (2, "change", 1)
    (ended,) = await auth.listener.of_user(user.account.user_id, 1, "auth.session.revoked.v1")
    assert (ended["data"]["session_id"], ended["data"]["cause"]) == (str(other.session_id), "change_password")


async def test_wrong_current_passwords_are_limited_as_failed_log_ins_are(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    user = await auth.register(number, secret)

    async def guess(index: int) -> ErrorCode:
        request = password_change(user, fresh_secret(), secret, address)
        return await refusal(until_accepted(lambda: auth.clients[index % 2].call(CHANGE_PASSWORD, request)))

    refusals = await asyncio.gather(*map(guess, range(30)))

    assert refusals.count(ErrorCode.CREDENTIALS_REFUSED) == MAX_PER_NUMBER
    assert refusals.count(ErrorCode.CALLER_LIMIT) == 30 - MAX_PER_NUMBER
    assert (
        await refusal(auth.call(CHANGE_PASSWORD, password_change(user, secret, secret, address)))
        is ErrorCode.CALLER_LIMIT
    )
    assert await refusal(auth.log_in(number, secret, address)) is ErrorCode.CALLER_LIMIT


async def test_a_correct_current_password_does_not_count_as_a_failure(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    user = await auth.register(number, secret)

    for _ in range(MAX_PER_NUMBER + 2):
        await auth.call(CHANGE_PASSWORD, password_change(user, secret, secret, address))


async def test_a_correct_password_is_not_a_failure_when_hashing_the_new_one_is_shed(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    user = await auth.register(number, secret)

    async def shed(*_: object) -> None:
        raise ServiceError(ErrorCode.UNAVAILABLE, retry_after=3)

    with monkeypatch.context() as patch:
        patch.setattr(PasswordHasher, "hash", shed)
        for _ in range(MAX_PER_NUMBER + 1):
            request = password_change(user, secret, fresh_secret(), address)
            assert await refusal(auth.call(CHANGE_PASSWORD, request)) is ErrorCode.UNAVAILABLE

    await auth.call(CHANGE_PASSWORD, password_change(user, secret, fresh_secret(), address))


async def test_one_of_two_concurrent_password_changes_succeeds(auth: Auth) -> None:
    number, old, new = fresh_number(), fresh_secret(), [fresh_secret(), fresh_secret()]
    user = await auth.register(number, old)

    async def change(index: int) -> bool:
        try:
            request = password_change(user, old, new[index])
            await until_accepted(lambda: auth.clients[index].call(CHANGE_PASSWORD, request))
        except ServiceError as refused:
            assert refused.code is ErrorCode.CREDENTIALS_REFUSED
            return False
        return True

    won = await asyncio.gather(change(0), change(1))

    assert sorted(won) == [False, True]
    assert (await auth.log_in(number, new[won.index(True)])).account.user_id == user.account.user_id


async def test_a_banned_account_cannot_be_changed(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    await auth.database.execute("update accounts set banned_at = now() where user_id = $1", user.account.user_id)

    change = ChangeProfile(user_id=user.account.user_id, nickname="x")
    assert await refusal(auth.call(CHANGE_PROFILE, change)) is ErrorCode.UNAUTHENTICATED
