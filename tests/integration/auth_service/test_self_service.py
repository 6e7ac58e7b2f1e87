"""Changes that users make to their own account, on a real PostgreSQL: profile, password, erasure."""

import asyncio

import pytest
from support.auth import (
    Auth,
    code_login,
    fresh_address,
    fresh_number,
    fresh_secret,
    password_change,
    refusal,
    registration,
)
from support.patience import until_accepted

from auth_service.passwords.hasher import PasswordHasher
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PROFILE,
    ERASE,
    GRANT,
    LOG_IN_WITH_CODE,
    LOOK_UP,
    REGISTER,
    ChangeProfile,
    Erase,
    Grant,
    LoggedIn,
    LookUp,
)
from shared.internal_api.sms import Purpose

MAX_PER_NUMBER = 10
"""Wrong passwords for one number from one network: the default of ``CALLER_FAILED_LOGINS_PER_NUMBER``."""


def erasing(user: LoggedIn) -> Erase:
    return Erase(user_id=user.account.user_id, dialect="native", client="test")


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


async def test_an_erased_account_leaves_no_personal_data(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    assert await refusal(auth.log_in(number, secret)) is ErrorCode.CREDENTIALS_REFUSED
    user = await auth.call(REGISTER, registration(auth.ticket(number), secret, nickname="Erasmus", name=number[3:]))
    await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user.account.user_id, motto="erase this motto"))
    granted = await auth.call(GRANT, Grant(token=user.token))
    await auth.listener.of_user(user.account.user_id, 1, "auth.user.updated.v1")

    await auth.call(ERASE, erasing(user))

    assert await auth.has_ended(user.token)
    assert await auth.has_ended(granted.access_token)
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [False]
    assert await refusal(auth.call(ERASE, erasing(user))) is ErrorCode.UNAUTHENTICATED
    (event,) = await auth.listener.of_user(user.account.user_id, 1, "auth.user.deleted.v1")
    assert event["version"] == 3
    assert (event["data"]["nickname"], event["data"]["avatar"], event["data"]["disabled"]) == ("", "", True)
    (ended,) = await auth.listener.of_user(user.account.user_id, 1, "auth.session.revoked.v1")
    assert ended["data"]["cause"] == "erased"
    await auth.listener.of_user(user.account.user_id, 1, "auth.user.deleted.v1")
    personal = {number[3:], "Erasmus", "erase this motto", str(auth.phones.ref(number))}
    for (table,) in await auth.database.fetch("select tablename from pg_tables where schemaname = 'public'"):
        if table in {"outbox", "login_limits"}:  # emptied by the relay, and within a day
            continue
        rows = "\n".join(str(tuple(row)) for row in await auth.database.fetch(f'select * from "{table}"'))
        assert [value for value in personal if value in rows] == [], table
        assert table == "spent_tickets" or str(user.account.user_id) not in rows, table


async def test_an_erased_number_is_free_at_once_and_old_tickets_are_refused(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    spent, unspent = auth.ticket(number), auth.ticket(number)
    user = await auth.call(REGISTER, registration(spent, secret, name=number[3:]))
    login_ticket = auth.ticket(number, Purpose.SIGN_IN)
    await auth.call(LOG_IN_WITH_CODE, code_login(login_ticket))
    await auth.call(ERASE, erasing(user))

    assert await refusal(auth.call(REGISTER, registration(spent, secret, name=number[3:]))) is ErrorCode.CODE_REFUSED
    assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(login_ticket))) is ErrorCode.NO_ACCOUNT
    assert await refusal(auth.call(REGISTER, registration(unspent, secret))) is ErrorCode.CODE_REFUSED
    new_account = await auth.call(REGISTER, registration(auth.ticket(number), secret, name=number[3:]))
    assert new_account.account.user_id != user.account.user_id
    assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(login_ticket))) is ErrorCode.CODE_REFUSED


async def test_no_concurrent_log_in_survives_an_erasure(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)

    async def log_in(index: int) -> None:
        try:
            request = code_login(auth.ticket(number, Purpose.SIGN_IN))
            await until_accepted(lambda: auth.clients[index % 2].call(LOG_IN_WITH_CODE, request))
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
