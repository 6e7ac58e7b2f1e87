"""Registration on a real PostgreSQL: one ticket, one account, one password."""

import asyncio
from collections import Counter
from datetime import timedelta
from functools import partial
from hashlib import md5
from typing import Any
from uuid import uuid4

import pytest
from stack.system import Stack
from support.auth import Auth, fresh_number, fresh_secret, password_reset, refusal, registration
from support.patience import until_accepted

from auth_service.accounts.user_ids import new_user_id
from auth_service.tickets.verifier import UNOPENED
from shared.errors import ErrorCode, ServiceError
from shared.events.catalogue import SessionOpened, UserRegistered
from shared.events.envelope import CloudEvent
from shared.internal_api.auth import (
    LOOK_UP,
    REFRESH,
    REGISTER,
    REGISTER_WITH_TOKENS,
    RESET_PASSWORD,
    RESOLVE,
    LookUp,
    Refresh,
    Resolve,
)
from shared.internal_api.sms import Purpose
from shared.phone import ref_hex
from shared.tickets import MAX_REPEATS


async def test_a_registration_opens_an_account_and_a_session(auth: Auth) -> None:
    number = fresh_number()
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [False]

    user = await auth.register(number, fresh_secret())

    account = user.account
    assert account.phone == number
    assert 2**47 <= account.user_id < 2**53
    assert account.nickname == f"用户{account.user_id}"
    assert account.version == 1
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [True]
    resolved = await auth.call(RESOLVE, Resolve(token=user.token))
    assert (resolved.session_id, resolved.account) == (user.session_id, account)
    assert await auth.actions(number) == ["register.succeeded"]


async def test_a_registration_is_published_without_the_number(auth: Auth) -> None:
    number = fresh_number()
    user = await auth.register(number, fresh_secret())

    events = {event["type"]: event for event in await auth.listener.of_user(user.account.user_id, 2)}

    registered = CloudEvent[UserRegistered].model_validate(events["auth.user.registered.v1"])
    assert registered.subject == str(user.account.user_id)
    assert registered.version == 1
    assert registered.data.phone_ref == ref_hex(auth.phones.ref(number))
    assert (registered.data.country, registered.data.discoverable, registered.data.disabled) == ("86", True, False)
    opened = CloudEvent[SessionOpened].model_validate(events["auth.session.opened.v1"])
    assert (opened.subject, opened.version, opened.data.cause) == (str(user.session_id), 1, "register")
    assert number[3:] not in str(events)


async def test_an_account_may_have_no_password(auth: Auth) -> None:
    number = fresh_number()
    ticket = auth.ticket(number)

    user = await auth.call(REGISTER, registration(ticket, None, nickname="Anna"))
    again = await auth.call(REGISTER, registration(ticket, None, nickname="Anna"))

    assert user.account.nickname == "Anna"
    assert again.account.user_id == user.account.user_id
    assert again.session_id != user.session_id
    assert await refusal(auth.call(REGISTER, registration(ticket, fresh_secret()))) is ErrorCode.CODE_REFUSED
    assert await refusal(auth.log_in(number, fresh_secret())) is ErrorCode.CREDENTIALS_REFUSED


@pytest.mark.parametrize("has_password", [True, False])
async def test_a_registration_with_tokens_opens_a_session_that_they_belong_to(auth: Auth, has_password: bool) -> None:
    number = fresh_number()
    request = registration(auth.ticket(number), fresh_secret() if has_password else None)

    registered = await until_accepted(lambda: auth.call(REGISTER_WITH_TOKENS, request))

    tokens = registered.tokens
    resolved = await auth.call(RESOLVE, Resolve(token=tokens.access_token))
    assert (resolved.session_id, resolved.account) == (registered.session_id, registered.account)
    assert registered.account.phone == number
    assert await auth.actions(number) == ["register.succeeded"]
    granted = "select action, client, dialect from audit_log where session_id = $1 order by at, id"
    rows = [tuple(row) for row in await auth.database.fetch(granted, registered.session_id)]
    assert rows == [("register.succeeded", "test", "maitian"), ("refresh_token.granted", "test", "maitian")]
    following = await auth.call(REFRESH, Refresh(refresh_token=tokens.refresh_token))
    assert await auth.session_of(following.access_token) == registered.session_id


async def test_a_repeat_of_a_registration_with_tokens_gets_a_session_and_tokens_of_its_own(auth: Auth) -> None:
    request = registration(auth.ticket(fresh_number()), None)

    first, repeat = [await auth.call(REGISTER_WITH_TOKENS, request) for _ in range(2)]

    assert first.account.user_id == repeat.account.user_id
    assert first.session_id != repeat.session_id
    for each in (first, repeat):
        assert await auth.session_of(each.tokens.access_token) == each.session_id
        assert await auth.call(REFRESH, Refresh(refresh_token=each.tokens.refresh_token))


async def test_without_a_password_a_taken_number_a_name_and_a_spent_ticket_are_refused_as_with_one(auth: Auth) -> None:
    number, name = fresh_number(), uuid4().hex[:16]
    await auth.call(REGISTER, registration(auth.ticket(number), None, name=name))

    same_number = registration(auth.ticket(number), None)
    assert await refusal(auth.call(REGISTER_WITH_TOKENS, same_number)) is ErrorCode.NUMBER_TAKEN
    same_name = registration(auth.ticket(fresh_number()), None, name=name)
    assert await refusal(auth.call(REGISTER_WITH_TOKENS, same_name)) is ErrorCode.NAME_TAKEN
    ticket = uuid4()
    spent = auth.ticket(fresh_number(), verification_id=ticket)
    await auth.call(REGISTER_WITH_TOKENS, registration(spent, None))
    elsewhere = registration(auth.ticket(fresh_number(), verification_id=ticket), None)
    assert await refusal(auth.call(REGISTER_WITH_TOKENS, elsewhere)) is ErrorCode.CODE_REFUSED


async def test_a_repeat_without_the_password_is_refused(auth: Auth) -> None:
    ticket = auth.ticket(fresh_number())
    await auth.call(REGISTER, registration(ticket, fresh_secret()))

    assert await refusal(auth.call(REGISTER, registration(ticket, None))) is ErrorCode.CODE_REFUSED


async def test_a_hundred_concurrent_registrations_without_a_password_make_one_account_and_six_sessions(
    auth: Auth,
) -> None:
    number = fresh_number()
    ticket = auth.ticket(number)

    outcomes = await asyncio.gather(
        *(until_accepted(partial(auth.clients[i % 2].call, REGISTER, registration(ticket, None))) for i in range(100)),
        return_exceptions=True,
    )

    refused = [outcome.code for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert refused == [ErrorCode.CODE_REFUSED] * 94
    users = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(users) == 1 + MAX_REPEATS
    assert len({user.account.user_id for user in users}) == 1
    assert await auth.database.fetchval("select count(*) from accounts where phone = $1", number) == 1


@pytest.mark.parametrize("spelling", ["{}", "+86{}", "86{}"])
async def test_a_password_that_is_the_number_is_refused_and_does_not_spend_the_ticket(
    auth: Auth, spelling: str
) -> None:
    number = fresh_number()
    secret = md5(spelling.format(number[3:]).encode()).hexdigest()
    ticket, reset_ticket = auth.ticket(number), auth.ticket(number, Purpose.RESET_PASSWORD)

    assert await refusal(auth.call(REGISTER, registration(ticket, secret))) is ErrorCode.PASSWORD_LENGTH
    user = await auth.call(REGISTER, registration(ticket, fresh_secret()))
    reset = password_reset(reset_ticket, secret)
    assert await refusal(auth.call(RESET_PASSWORD, reset)) is ErrorCode.PASSWORD_LENGTH
    assert await auth.session_of(user.token) == user.session_id


async def test_two_hundred_concurrent_redemptions_of_one_ticket_make_one_account_with_one_password(auth: Auth) -> None:
    number = fresh_number()
    ticket = auth.ticket(number)
    secrets = [fresh_secret() for _ in range(100)]

    async def submit(index: int, secret: str) -> tuple[str, Any]:
        try:
            request = registration(ticket, secret)
            return secret, await until_accepted(lambda: auth.clients[index % 2].call(REGISTER, request))
        except ServiceError as error:
            return secret, error.code

    # Each password is submitted twice, once to each of the two services.
    outcomes = await asyncio.gather(*(submit(index, secret) for secret in secrets for index in range(2)))

    won = [(secret, outcome) for secret, outcome in outcomes if not isinstance(outcome, ErrorCode)]
    winner = won[0][0]
    assert [secret for secret, _ in won] == [winner] * 2
    assert len({user.account.user_id for _, user in won}) == 1
    assert len({user.token for _, user in won}) == 2
    assert Counter(outcome for _, outcome in outcomes if isinstance(outcome, ErrorCode)) == {
        ErrorCode.CODE_REFUSED: 198
    }
    assert await auth.database.fetchval("select count(*) from accounts where phone = $1", number) == 1
    assert (await auth.log_in(number, winner)).account.user_id == won[0][1].account.user_id
    loser = next(secret for secret in secrets if secret != winner)
    assert await refusal(auth.log_in(number, loser)) is ErrorCode.CREDENTIALS_REFUSED
    assert len(await auth.actions(number)) == 202


async def test_two_hundred_concurrent_repeats_of_one_request_all_succeed(auth: Auth) -> None:
    request = registration(auth.ticket(fresh_number()), fresh_secret())

    users = await asyncio.gather(
        *(until_accepted(partial(auth.clients[index % 2].call, REGISTER, request)) for index in range(200))
    )

    assert len({user.account.user_id for user in users}) == 1
    assert len({user.session_id for user in users}) == 200


async def test_a_repeat_with_other_values_is_refused_and_changes_nothing(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    ticket = auth.ticket(number)
    first = await auth.call(REGISTER, registration(ticket, secret))

    assert await refusal(auth.call(REGISTER, registration(ticket, fresh_secret()))) is ErrorCode.CODE_REFUSED
    again = await auth.call(REGISTER, registration(ticket, secret, phone=number))

    assert again.account.user_id == first.account.user_id
    assert await auth.actions(number) == ["register.succeeded", "register.refused", "register.repeated"]


async def test_a_repeat_after_a_password_reset_is_refused(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    ticket = auth.ticket(number)
    await auth.call(REGISTER, registration(ticket, secret))
    await auth.call(RESET_PASSWORD, password_reset(auth.ticket(number, Purpose.RESET_PASSWORD), fresh_secret()))

    assert await refusal(auth.call(REGISTER, registration(ticket, secret))) is ErrorCode.CODE_REFUSED


async def test_a_ticket_is_valid_for_its_number_purpose_and_lifetime_only(auth: Auth) -> None:
    number = fresh_number()
    bad = [
        registration(auth.ticket(number), fresh_secret(), phone=fresh_number()),
        registration(auth.ticket(number, Purpose.RESET_PASSWORD), fresh_secret()),
        registration(auth.ticket(number, left=timedelta(seconds=-1)), fresh_secret()),
        registration("AAAA", fresh_secret()),
        registration(auth.ticket(number)[:-2] + "AA", fresh_secret(), phone=number),
    ]

    assert [await refusal(auth.call(REGISTER, request)) for request in bad] == [ErrorCode.CODE_REFUSED] * 5
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [False]


async def test_an_invalid_ticket_is_counted_and_audited_without_a_number(auth: Auth) -> None:
    number, rows = fresh_number(), "select count(*) from audit_log where action = 'register.unproven'"
    before, unopened = await auth.database.fetchval(rows), UNOPENED.labels(Purpose.SIGN_UP)._value.get()

    for forged in (
        auth.ticket(number, Purpose.RESET_PASSWORD),
        auth.ticket(number, left=timedelta(seconds=-1)),
        "AAAA",
    ):
        request = registration(forged, fresh_secret(), phone=number)
        assert await refusal(auth.call(REGISTER, request)) is ErrorCode.CODE_REFUSED

    assert await auth.database.fetchval(rows) == before + 3
    assert UNOPENED.labels(Purpose.SIGN_UP)._value.get() == unopened + 3
    genuine = registration(auth.ticket(number), fresh_secret(), phone=fresh_number())
    assert await refusal(auth.call(REGISTER, genuine)) is ErrorCode.CODE_REFUSED
    assert await auth.actions(number) == ["register.refused"]


async def test_a_lost_race_for_a_number_does_not_write_it_into_the_log_of_postgresql(
    auth: Auth, servers: Stack
) -> None:
    number = fresh_number()
    async with auth.database.acquire() as other, other.transaction():
        await other.execute(
            "insert into accounts (user_id, phone, nickname, dialect, client) values ($1, $2, '', '', '')",
            new_user_id(),
            number,
        )
        waiting = asyncio.create_task(refusal(auth.register(number, fresh_secret())))
        await auth.wait_for_locks(1)

    assert await waiting is ErrorCode.NUMBER_TAKEN
    assert number[1:] not in servers.servers.postgres.process.logs()


async def test_a_taken_number_is_refused_and_does_not_spend_the_ticket(auth: Auth) -> None:
    number = fresh_number()
    await auth.register(number, fresh_secret())
    verification_id = uuid4()
    request = registration(auth.ticket(number, verification_id=verification_id), fresh_secret())

    assert await refusal(auth.call(REGISTER, request)) is ErrorCode.NUMBER_TAKEN
    spent = await auth.database.fetchval(
        "select count(*) from spent_tickets where verification_id = $1", verification_id
    )
    assert spent == 0


async def test_concurrent_tickets_for_one_number_make_one_account(auth: Auth) -> None:
    number = fresh_number()
    requests = [registration(auth.ticket(number), fresh_secret()) for _ in range(10)]

    outcomes = await asyncio.gather(
        *(
            until_accepted(partial(auth.clients[index % 2].call, REGISTER, request))
            for index, request in enumerate(requests)
        ),
        return_exceptions=True,
    )

    refused = [outcome.code for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert refused == [ErrorCode.NUMBER_TAKEN] * 9


async def test_no_table_has_a_secret_a_token_or_a_ticket_and_only_accounts_has_a_number(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    ticket = auth.ticket(number)
    user = await auth.call(REGISTER, registration(ticket, secret))
    logged_in = await auth.log_in(number, secret)
    await refusal(auth.log_in(number, fresh_secret()))
    await refusal(auth.call(REGISTER, registration(ticket, fresh_secret())))

    tables = [row[0] for row in await auth.database.fetch("select tablename from pg_tables where schemaname='public'")]
    found = {}
    for table in tables:
        rows = await auth.database.fetch(f'select * from "{table}"')
        found[table] = "\n".join(
            value.decode("latin1") if isinstance(value, bytes) else str(value) for row in rows for value in row.values()
        )

    for planted in (secret, user.token, logged_in.token, ticket):
        assert not [table for table, text in found.items() if planted in text]
    assert [table for table, text in found.items() if number[3:] in text] == ["accounts"]
