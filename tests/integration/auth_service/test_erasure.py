"""The erasure of an account, on a real PostgreSQL: what proves that its user is there, and what stays."""

import asyncio
from datetime import timedelta

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
from support.login_limits import LIMITS, fill
from support.patience import until_accepted

from auth_service.audit import AuditEntry
from auth_service.client_context import ClientContext
from auth_service.erasure.erasure_store import ErasureStore
from shared import postgres
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
    Grant,
    LookUp,
)
from shared.internal_api.sms import Purpose
from shared.tickets import FRESH, LIFETIME

MAX_PER_NUMBER = 10
"""Wrong passwords for one number from one network: the default of ``CALLER_FAILED_LOGINS_PER_NUMBER``."""

FIVE_MINUTES_AGO = LIFETIME - FRESH
"""What is left of the ten minutes of most tickets."""


async def test_a_session_alone_erases_nothing(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())

    request = auth.erasure(user.account, secret=None)
    assert await refusal(auth.call(ERASE, request)) is ErrorCode.PROOF_REQUIRED

    assert await auth.session_of(user.token)


async def test_the_password_erases_the_account(auth: Auth) -> None:
    secret = fresh_secret()
    user = await auth.register(fresh_number(), secret)

    await auth.call(ERASE, auth.erasure(user.account, secret=secret))

    assert await auth.has_ended(user.token)


async def test_a_user_without_a_password_erases_the_account_with_a_code(auth: Auth) -> None:
    number = fresh_number()
    user = await auth.call(REGISTER, registration(auth.ticket(number), None))

    request = auth.erasure(user.account, secret=fresh_secret())
    assert await refusal(auth.call(ERASE, request)) is ErrorCode.CREDENTIALS_REFUSED
    await auth.call(ERASE, auth.erasure(user.account))

    assert await auth.has_ended(user.token)


async def test_ever_new_networks_bring_a_stolen_session_no_more_guesses(auth: Auth) -> None:
    secret = fresh_secret()
    user = await auth.register(fresh_number(), secret)
    user_id, number = user.account.user_id, user.account.phone
    await fill(auth, fresh_address(), number, LIMITS.failures_per_number_day, user_id=user_id)

    for guess in (fresh_secret(), secret):
        request = auth.erasure(user.account, secret=guess)
        assert await refusal(auth.call(ERASE, request)) is ErrorCode.CALLER_LIMIT

    assert await auth.session_of(user.token)


async def test_wrong_passwords_count_as_failed_log_ins_and_are_audited(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    user = await auth.register(number, secret)

    async def guess(index: int) -> ErrorCode:
        request = auth.erasure(user.account, secret=fresh_secret(), address=address)
        return await refusal(until_accepted(lambda: auth.clients[index % 2].call(ERASE, request)))

    refusals = await asyncio.gather(*map(guess, range(20)))

    assert refusals.count(ErrorCode.CREDENTIALS_REFUSED) == MAX_PER_NUMBER
    assert refusals.count(ErrorCode.CALLER_LIMIT) == 20 - MAX_PER_NUMBER
    right = auth.erasure(user.account, secret=secret, address=address)
    assert await refusal(auth.call(ERASE, right)) is ErrorCode.CALLER_LIMIT
    assert await refusal(auth.log_in(number, secret, address)) is ErrorCode.CALLER_LIMIT
    actions = await auth.actions(number)
    assert actions.count("erase.refused") == MAX_PER_NUMBER
    assert actions.count("erase.limited") in range(1, 4)  # one a minute of each process, in less than two minutes


async def test_a_password_of_someone_else_erases_nothing(auth: Auth) -> None:
    secret, other_secret = fresh_secret(), fresh_secret()
    user = await auth.register(fresh_number(), secret)
    other = await auth.register(fresh_number(), other_secret)

    request = auth.erasure(user.account, phone=other.account.phone, secret=other_secret)
    assert await refusal(auth.call(ERASE, request)) is ErrorCode.CREDENTIALS_REFUSED

    assert await auth.session_of(user.token)
    assert await auth.session_of(other.token)


@pytest.mark.parametrize("purpose", [each for each in Purpose if each is not Purpose.ERASE])
async def test_a_ticket_for_another_purpose_erases_nothing(auth: Auth, purpose: Purpose) -> None:
    number = fresh_number()
    user = await auth.register(number, fresh_secret())

    request = auth.erasure(user.account, ticket=auth.ticket(number, purpose))
    assert await refusal(auth.call(ERASE, request)) is ErrorCode.CODE_REFUSED

    assert await auth.session_of(user.token)


async def test_a_ticket_erases_for_five_minutes_its_own_number_only_and_not_after_a_change_of_password(
    auth: Auth,
) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    unspent = auth.ticket(number, Purpose.ERASE)
    await auth.call(CHANGE_PASSWORD, password_change(user, secret, fresh_secret()))

    for ticket in (
        auth.ticket(number, Purpose.ERASE, left=FIVE_MINUTES_AGO),
        auth.ticket(fresh_number(), Purpose.ERASE),
        auth.ticket(number, Purpose.ERASE, repeats_only=True),
        unspent,
        unspent[:-4] + "AAAA",
    ):
        assert await refusal(auth.call(ERASE, auth.erasure(user.account, ticket=ticket))) is ErrorCode.CODE_REFUSED

    assert await auth.session_of(user.token)
    almost = auth.ticket(number, Purpose.ERASE, left=FIVE_MINUTES_AGO + timedelta(minutes=1))
    await auth.database.execute(
        "update accounts set tickets_valid_from = now() - interval '1 hour' where phone = $1", number
    )
    await auth.call(ERASE, auth.erasure(user.account, ticket=almost))


async def test_an_erased_account_leaves_no_personal_data(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    assert await refusal(auth.log_in(number, secret)) is ErrorCode.CREDENTIALS_REFUSED
    user = await auth.call(REGISTER, registration(auth.ticket(number), secret, nickname="Erasmus", name=number[3:]))
    await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user.account.user_id, motto="erase this motto"))
    granted = await auth.call(GRANT, Grant(token=user.token))
    await auth.listener.of_user(user.account.user_id, 1, "auth.user.updated.v1")

    await auth.call(ERASE, auth.erasure(user.account))

    assert await auth.has_ended(user.token)
    assert await auth.has_ended(granted.access_token)
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [False]
    assert await refusal(auth.call(ERASE, auth.erasure(user.account))) is ErrorCode.UNAUTHENTICATED
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
    await auth.call(ERASE, auth.erasure(user.account))

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

    await asyncio.gather(*map(log_in, range(10)), auth.call(ERASE, auth.erasure(user.account)), *map(log_in, range(10)))

    left = "select count(*) from sessions where user_id = $1"
    assert await auth.database.fetchval(left, user.account.user_id) == 0


async def test_a_banned_account_cannot_be_erased(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    await auth.database.execute("update accounts set banned_at = now() where user_id = $1", user.account.user_id)

    assert await refusal(auth.call(ERASE, auth.erasure(user.account))) is ErrorCode.UNAUTHENTICATED


async def test_a_change_between_the_proof_and_the_erasure_saves_the_account(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    entry = AuditEntry("erase.succeeded", None, ClientContext("native", "test"))

    async with postgres.pool(auth.settings.postgres_url, auth.settings.auth_database) as pool:
        store = ErasureStore(pool, auth.phones, lambda: None)
        proven = await store.find_stored(user.account.user_id)
        assert proven is not None
        await auth.call(CHANGE_PASSWORD, password_change(user, secret, fresh_secret()))
        assert not await store.erase(proven, entry)

    assert await auth.session_of(user.token)
