"""Numbers that carriers gave to someone else, on a real PostgreSQL: a code does not open the account of before."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from uuid import UUID

import pytest
from support.auth import (
    HOME,
    Auth,
    code_login,
    command,
    fresh_number,
    fresh_secret,
    password_reset,
    refusal,
    registration,
    serving,
)
from support.patience import until_accepted

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    CHANGE_PHONE,
    GRANT,
    LOG_IN_WITH_CODE,
    LOOK_UP,
    REFRESH,
    REGISTER,
    RESET_PASSWORD,
    RESOLVE,
    ChangePhone,
    Grant,
    Granted,
    LoggedIn,
    LookUp,
    Refresh,
    Resolve,
)
from shared.internal_api.directory import FIND_USERS, FindUsers
from shared.internal_api.sms import Purpose
from shared.phone import E164, ref_hex

DAYS = 60
"""The default of ``RECYCLED_AFTER_DAYS``."""

WHO = ("--by", "ada", "--reason", "a call")


async def has_account(auth: Auth, number: E164) -> bool:
    return (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [True]


async def log_in_with_code(auth: Auth, number: E164) -> LoggedIn:
    logged_in: LoggedIn = await auth.call(LOG_IN_WITH_CODE, code_login(auth.ticket(number, Purpose.SIGN_IN)))
    return logged_in


async def phone_of(auth: Auth, user_id: int) -> str | None:
    phone: str | None = await auth.database.fetchval("select phone from accounts where user_id = $1", user_id)
    return phone


async def dormant(auth: Auth, secret: str | None = None) -> tuple[E164, LoggedIn]:
    """A user who was not seen for 60 days. Their sessions have ended."""
    number = fresh_number()
    user = await auth.call(REGISTER, registration(auth.ticket(number), secret or fresh_secret()))
    await auth.database.execute("delete from sessions where user_id = $1", user.account.user_id)
    await auth.unseen(number, DAYS)
    return number, user


async def test_a_code_alone_neither_opens_nor_takes_over_a_dormant_account(auth: Auth) -> None:
    secret = fresh_secret()
    number, user = await dormant(auth, secret)
    before = await auth.database.fetchrow("select * from accounts where phone = $1", number)

    assert await refusal(log_in_with_code(auth, number)) is ErrorCode.NO_ACCOUNT
    reset = password_reset(auth.ticket(number, Purpose.RESET_PASSWORD), fresh_secret())
    assert await refusal(auth.call(RESET_PASSWORD, reset)) is ErrorCode.NO_ACCOUNT

    assert await auth.database.fetchrow("select * from accounts where phone = $1", number) == before
    assert (await auth.log_in(number, secret)).account.user_id == user.account.user_id


async def test_a_dormant_account_looks_like_none_and_has_no_known_networks(auth: Auth) -> None:
    number, _ = await dormant(auth)

    looked_up = await auth.call(LOOK_UP, LookUp(phones=[number, fresh_number()]))

    assert (looked_up.registered, looked_up.known_networks) == ([False, False], [[], []])


async def test_the_password_wakes_the_account_so_that_codes_open_it_again(auth: Auth) -> None:
    secret = fresh_secret()
    number, user = await dormant(auth, secret)

    await auth.log_in(number, secret)

    assert await has_account(auth, number)
    assert (await log_in_with_code(auth, number)).account.user_id == user.account.user_id
    with_code = registration(auth.ticket(number), fresh_secret())
    assert await refusal(auth.call(REGISTER, with_code)) is ErrorCode.NUMBER_TAKEN


async def test_an_account_that_was_seen_59_days_ago_is_its_users(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    await auth.unseen(number, DAYS - 1)

    assert await has_account(auth, number)
    request = registration(auth.ticket(number), fresh_secret())
    assert await refusal(auth.call(REGISTER, request)) is ErrorCode.NUMBER_TAKEN
    assert (await log_in_with_code(auth, number)).account.user_id == user.account.user_id


async def test_registering_the_number_makes_a_new_account_and_retires_the_one_of_before(auth: Auth) -> None:
    number, secret, new_secret = fresh_number(), fresh_secret(), fresh_secret()
    old = await auth.call(REGISTER, registration(auth.ticket(number), secret, name=f"old {number}", nickname="Old"))
    sign_in = auth.ticket(number, Purpose.SIGN_IN)
    await auth.unseen(number, DAYS)

    new = await auth.register(number, new_secret)

    old_id = old.account.user_id
    assert new.account.user_id != old_id
    assert (new.account.name, new.account.nickname) != (old.account.name, "Old")
    assert await phone_of(auth, old_id) is None
    assert await auth.has_ended(old.token)
    assert await refusal(auth.log_in(number, secret)) is ErrorCode.CREDENTIALS_REFUSED
    assert (await auth.log_in(number, new_secret)).account.user_id == new.account.user_id
    assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(sign_in))) is ErrorCode.CODE_REFUSED
    (event,) = await auth.listener.of_user(old_id, 1, "auth.user.retired.v1")
    assert event["version"] == 2
    fields = ("phone_ref", "discoverable", "disabled")
    assert [event["data"][name] for name in fields] == [ref_hex(auth.phones.ref(number)), False, True]
    (ended,) = await auth.listener.of_user(old_id, 1, "auth.session.revoked.v1")
    assert ended["data"]["cause"] == "retired"
    assert (await auth.actions(number)).count("account.retired") == 1
    assert await auth.database.fetchval("select count(*) from known_networks where user_id = $1", old_id) == 0


async def test_a_registration_that_is_refused_retires_nothing(auth: Auth) -> None:
    number, user = await dormant(auth)
    name = f"taken {number}"
    await auth.call(REGISTER, registration(auth.ticket(fresh_number()), fresh_secret(), name=name))
    spent_id = UUID(int=user.account.user_id)
    await auth.database.execute(
        "insert into spent_tickets (verification_id, purpose, user_id, network) values ($1, 'sign_up', 1, 0)", spent_id
    )

    by_name = registration(auth.ticket(number), fresh_secret(), name=name)
    assert await refusal(auth.call(REGISTER, by_name)) is ErrorCode.NAME_TAKEN
    spent = registration(auth.ticket(number, verification_id=spent_id), fresh_secret())
    assert await refusal(auth.call(REGISTER, spent)) is ErrorCode.CODE_REFUSED

    assert await phone_of(auth, user.account.user_id) == number


async def test_the_response_to_such_a_registration_may_be_lost(auth: Auth) -> None:
    number, _ = await dormant(auth)
    request = registration(auth.ticket(number), fresh_secret())

    replies = [await auth.clients[index % 2].call(REGISTER, request) for index in range(3)]

    assert len({reply.account.user_id for reply in replies}) == 1


async def test_of_concurrent_registrations_one_makes_the_account(auth: Auth) -> None:
    number, old = await dormant(auth)
    requests = [registration(auth.ticket(number), fresh_secret()) for _ in range(6)]

    async def register(index: int) -> int | ErrorCode:
        try:
            registered = await until_accepted(lambda: auth.clients[index % 2].call(REGISTER, requests[index]))
        except ServiceError as refused:
            return refused.code
        return int(registered.account.user_id)

    outcomes = await asyncio.gather(*map(register, range(6)))

    assert outcomes.count(ErrorCode.NUMBER_TAKEN) == 5
    assert await phone_of(auth, old.account.user_id) is None
    assert len(await auth.listener.of_user(old.account.user_id, 1, "auth.user.retired.v1")) == 1


async def test_a_user_who_logs_in_at_the_last_moment_keeps_the_number_or_loses_it_as_a_whole(auth: Auth) -> None:
    for _ in range(5):
        secret = fresh_secret()
        number, old = await dormant(auth, secret)

        async def outcome(call: Awaitable[LoggedIn]) -> ErrorCode | None:
            try:
                await call
            except ServiceError as refused:
                return refused.code
            return None

        register = auth.clients[1].call(REGISTER, registration(auth.ticket(number), fresh_secret()))
        logged_in, registered = await asyncio.gather(outcome(auth.log_in(number, secret)), outcome(register))

        kept = await phone_of(auth, old.account.user_id) == number
        assert registered is (ErrorCode.NUMBER_TAKEN if kept else None)
        left = "select count(*) from sessions where user_id = $1"
        assert await auth.database.fetchval(left, old.account.user_id) == (1 if kept else 0)
        assert logged_in in ({None} if kept else {None, ErrorCode.CREDENTIALS_REFUSED})


async def test_another_user_may_move_to_the_number_and_retires_its_account(auth: Auth) -> None:
    number, old = await dormant(auth)
    user = await auth.register(fresh_number(), fresh_secret())
    request = ChangePhone(
        user_id=user.account.user_id,
        session_id=user.session_id,
        old_ticket=auth.ticket(E164(user.account.phone), Purpose.CHANGE_PHONE),
        new_ticket=auth.ticket(number, Purpose.CHANGE_PHONE),
        address=HOME,
        dialect="native",
    )

    changed = [await auth.call(CHANGE_PHONE, request) for _ in range(2)]

    assert [each.phone for each in changed] == [number, number]
    assert await phone_of(auth, old.account.user_id) is None
    await auth.listener.of_user(old.account.user_id, 1, "auth.user.retired.v1")


async def test_waiting_lifts_no_ban(auth: Auth) -> None:
    number, user = await dormant(auth)
    await auth.database.execute("update accounts set banned_at = now() where phone = $1", number)

    assert await has_account(auth, number)
    assert await refusal(log_in_with_code(auth, number)) is ErrorCode.ACCOUNT_BANNED
    request = registration(auth.ticket(number), fresh_secret())
    assert await refusal(auth.call(REGISTER, request)) is ErrorCode.NUMBER_TAKEN
    assert await phone_of(auth, user.account.user_id) == number


async def test_the_use_of_an_opaque_token_counts_as_seen_once_a_day(auth: Auth) -> None:
    number = fresh_number()
    user = await auth.register(number, fresh_secret())
    await auth.unseen(number, DAYS)
    await auth.call(RESOLVE, Resolve(token=user.token))
    assert not await has_account(auth, number)

    for _ in range(2):
        await auth.database.execute(
            "update sessions set expires_at = now() + interval '28 days' where user_id = $1", user.account.user_id
        )
        await auth.call(RESOLVE, Resolve(token=user.token))

    assert await has_account(auth, number)


async def test_a_refresh_counts_as_seen_once_a_day(auth: Auth) -> None:
    number = fresh_number()
    user = await auth.register(number, fresh_secret())
    tokens = await auth.call(GRANT, Grant(token=user.token))
    seen = "select last_used_at from accounts where phone = $1"

    async def refresh(tokens: Granted) -> Granted:
        granted: Granted = await auth.call(REFRESH, Refresh(refresh_token=tokens.refresh_token))
        return granted

    tokens = await refresh(tokens)
    assert await auth.database.fetchval(seen, number) is None
    await auth.unseen(number, DAYS)
    tokens = await refresh(tokens)
    first = await auth.database.fetchval(seen, number)
    await refresh(tokens)

    assert first is not None
    assert await auth.database.fetchval(seen, number) == first
    assert await has_account(auth, number)


async def test_a_refresh_does_not_wait_for_a_locked_account(auth: Auth) -> None:
    number = fresh_number()
    user = await auth.register(number, fresh_secret())
    tokens = await auth.call(GRANT, Grant(token=user.token))
    await auth.unseen(number, DAYS)

    async with auth.database.acquire() as conn, conn.transaction():
        await conn.execute("select from accounts where phone = $1 for update", number)
        refreshed = await auth.call(REFRESH, Refresh(refresh_token=tokens.refresh_token))

    assert refreshed.refresh_token


async def test_a_retired_account_is_no_user_of_any_copy(auth: Auth) -> None:
    number, old = await dormant(auth)
    new = await auth.register(number, fresh_secret())

    found = await auth.call(FIND_USERS, FindUsers(user_ids=[old.account.user_id, new.account.user_id]))

    assert [each.user.user_id for each in found.users] == [new.account.user_id]
    assert await command(auth, "ban", str(old.account.user_id), *WHO) == (
        1, f"auth-service: there is no user {old.account.user_id}\n",
    )  # fmt: skip


async def test_an_operator_confirms_the_owner_of_a_dormant_account(auth: Auth) -> None:
    number, user = await dormant(auth)
    user_id = user.account.user_id

    spelled = f"{number[3:6]} {number[6:]}"
    assert await command(auth, "accounts", "confirm", spelled, *WHO) == (0, f"user {user_id} counts as seen now\n")

    assert (await log_in_with_code(auth, number)).account.user_id == user_id
    assert (await auth.actions(number)).count("account.confirmed") == 1


async def test_an_operator_releases_a_number_and_gives_the_account_another(auth: Auth) -> None:
    number, moved, secret = fresh_number(), fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    user_id = user.account.user_id

    released = await command(auth, "accounts", "release", number, *WHO)
    assert released == (0, f"user {user_id} has no number any more\n")

    assert await auth.has_ended(user.token)
    assert not await has_account(auth, number)
    other = await auth.register(number, fresh_secret())
    back = await command(auth, "accounts", "restore", str(user_id), number, *WHO)
    assert back == (1, "auth-service: an account has this number\n")
    assert await command(auth, "accounts", "restore", str(user_id), moved, *WHO) == (
        0,
        f"user {user_id} has the number\n",
    )
    assert (await auth.log_in(moved, secret)).account.user_id == user_id
    assert (await log_in_with_code(auth, number)).account.user_id == other.account.user_id
    events = await auth.listener.of_user(user_id, 3, "auth.user.")
    assert [(event["type"], event["version"]) for event in events] == [
        ("auth.user.registered.v1", 1), ("auth.user.retired.v1", 2), ("auth.user.updated.v1", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("confirm", "13800000000"), "no account has this number, or it is banned"),
        (("release", "13800000000"), "no account has this number, or it is banned"),
        (("restore", str(2**47 + 1), "13800000000"), "there is no retired account of this user"),
        (("restore", str(2**80), "13800000000"), "there is no retired account of this user"),
    ],
)
async def test_a_command_that_changes_nothing_says_why(auth: Auth, words: tuple[str, ...], reason: str) -> None:
    assert await command(auth, "accounts", *words, *WHO) == (1, f"auth-service: {reason}\n")


async def test_the_setting_can_be_off_or_longer(auth: Auth) -> None:
    number, user = await dormant(auth)

    async with serving(auth.settings.model_copy(update={"recycled_after_days": DAYS + 1})) as client:
        assert (await client.call(LOOK_UP, LookUp(phones=[number]))).registered == [True]
    await auth.database.execute("update accounts set last_login_at = now() - $1::interval", timedelta(days=4_000))
    async with serving(auth.settings.model_copy(update={"recycled_after_days": 0})) as client:
        request = code_login(auth.ticket(number, Purpose.SIGN_IN))
        assert (await client.call(LOG_IN_WITH_CODE, request)).account.user_id == user.account.user_id
