"""Registration and reset on a real PostgreSQL: one ticket, one account, one password."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from stack.system import Stack
from support.auth import Auth, fresh_number, fresh_secret, refusal, running
from support.patience import until_taken

from auth_service.accounts.user_ids import new_user_id
from auth_service.tickets.verifier import UNOPENED
from shared.errors import ErrorCode, ServiceError
from shared.events import CloudEvent, PasswordChanged, SessionOpened, SessionRevoked, UserRegistered
from shared.internal_api.auth import (
    LOOK_UP,
    REGISTER,
    RESET_PASSWORD,
    RESOLVE,
    LookUp,
    Register,
    ResetPassword,
    Resolve,
)
from shared.internal_api.sms import Purpose
from shared.phone import ref_hex

RESET = Purpose.RESET_PASSWORD


@pytest.fixture(scope="module")
async def auth(postgres_url: str, amqp_url: str) -> AsyncIterator[Auth]:
    async with running(postgres_url, amqp_url) as auth:
        yield auth


def registering(ticket: str, secret: str, **more: Any) -> Register:
    return Register(ticket=ticket, secret=secret, dialect="maitian", client="test", **more)


def resetting(ticket: str, secret: str, **more: Any) -> ResetPassword:
    return ResetPassword(ticket=ticket, secret=secret, dialect="tel", client="test", **more)


async def test_a_ticket_opens_an_account_and_a_session(auth: Auth) -> None:
    number = fresh_number()
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [False]

    made = await auth.register(number, fresh_secret())

    account = made.account
    assert account.phone == number
    assert 2**47 <= account.user_id < 2**53
    assert account.nickname == f"用户{account.user_id}"
    assert account.version == 1
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [True]
    resolved = await auth.call(RESOLVE, Resolve(token=made.token))
    assert (resolved.session_id, resolved.account) == (made.session_id, account)
    assert await auth.actions(number) == ["register.succeeded"]


async def test_registration_is_told_without_the_number(auth: Auth) -> None:
    number = fresh_number()
    made = await auth.register(number, fresh_secret())

    heard = {event["type"]: event for event in await auth.listener.of_user(made.account.user_id, 2)}

    registered = CloudEvent[UserRegistered].model_validate(heard["auth.user.registered.v1"])
    assert registered.subject == str(made.account.user_id)
    assert registered.version == 1
    assert registered.data.phone_ref == ref_hex(auth.phones.ref(number))
    assert (registered.data.country, registered.data.discoverable, registered.data.disabled) == ("86", True, False)
    opened = CloudEvent[SessionOpened].model_validate(heard["auth.session.opened.v1"])
    assert (opened.subject, opened.version, opened.data.cause) == (str(made.session_id), 1, "register")
    assert number[3:] not in str(heard)


async def test_two_hundred_submissions_of_one_ticket_make_one_account_with_one_password(auth: Auth) -> None:
    number = fresh_number()
    ticket = auth.ticket(number)
    secrets = [fresh_secret() for _ in range(100)]

    async def submit(place: int, secret: str) -> tuple[str, Any]:
        try:
            request = registering(ticket, secret)
            return secret, await until_taken(lambda: auth.clients[place % 2].call(REGISTER, request))
        except ServiceError as error:
            return secret, error.code

    # Each password comes twice, once to each of two processes.
    outcomes = await asyncio.gather(*(submit(place, secret) for secret in secrets for place in range(2)))

    won = [(secret, made) for secret, made in outcomes if not isinstance(made, ErrorCode)]
    winner = won[0][0]
    assert [secret for secret, _ in won] == [winner] * 2
    assert len({made.account.user_id for _, made in won}) == 1
    assert len({made.token for _, made in won}) == 2
    assert Counter(made for _, made in outcomes if isinstance(made, ErrorCode)) == {ErrorCode.CODE_REFUSED: 198}
    assert await auth.database.fetchval("select count(*) from accounts where phone = $1", number) == 1
    assert (await auth.log_in(number, winner)).account.user_id == won[0][1].account.user_id
    loser = next(secret for secret in secrets if secret != winner)
    assert await refusal(auth.log_in(number, loser)) is ErrorCode.CREDENTIALS_REFUSED
    assert len(await auth.actions(number)) == 202


async def test_the_same_call_sent_two_hundred_times_at_once_succeeds_every_time(auth: Auth) -> None:
    request = registering(auth.ticket(fresh_number()), fresh_secret())

    made = await asyncio.gather(
        *(until_taken(partial(auth.clients[place % 2].call, REGISTER, request)) for place in range(200))
    )

    assert len({answer.account.user_id for answer in made}) == 1
    assert len({answer.session_id for answer in made}) == 200


async def test_a_repeat_with_other_values_is_refused_and_changes_nothing(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    ticket = auth.ticket(number)
    first = await auth.call(REGISTER, registering(ticket, secret))

    assert await refusal(auth.call(REGISTER, registering(ticket, fresh_secret()))) is ErrorCode.CODE_REFUSED
    again = await auth.call(REGISTER, registering(ticket, secret, phone=number))

    assert again.account.user_id == first.account.user_id
    assert await auth.actions(number) == ["register.succeeded", "register.refused", "register.repeated"]


async def test_a_repeat_after_the_password_was_changed_opens_nothing(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    ticket = auth.ticket(number)
    await auth.call(REGISTER, registering(ticket, secret))
    await auth.call(RESET_PASSWORD, resetting(auth.ticket(number, RESET), fresh_secret()))

    assert await refusal(auth.call(REGISTER, registering(ticket, secret))) is ErrorCode.CODE_REFUSED


async def test_a_ticket_is_good_for_its_own_number_purpose_and_time_only(auth: Auth) -> None:
    number = fresh_number()
    bad = [
        registering(auth.ticket(number), fresh_secret(), phone=fresh_number()),
        registering(auth.ticket(number, RESET), fresh_secret()),
        registering(auth.ticket(number, left=timedelta(seconds=-1)), fresh_secret()),
        registering("AAAA", fresh_secret()),
        registering(auth.ticket(number)[:-2] + "AA", fresh_secret(), phone=number),
    ]

    assert [await refusal(auth.call(REGISTER, request)) for request in bad] == [ErrorCode.CODE_REFUSED] * 5
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered == [False]


async def test_a_ticket_that_does_not_open_leaves_no_row_and_is_counted(auth: Auth) -> None:
    number, rows = fresh_number(), "select count(*) from audit_log"
    before, unopened = await auth.database.fetchval(rows), UNOPENED.labels(Purpose.SIGN_UP)._value.get()

    for forged in (auth.ticket(number, RESET), auth.ticket(number, left=timedelta(seconds=-1)), "AAAA"):
        request = registering(forged, fresh_secret(), phone=number)
        assert await refusal(auth.call(REGISTER, request)) is ErrorCode.CODE_REFUSED

    assert await auth.database.fetchval(rows) == before
    assert UNOPENED.labels(Purpose.SIGN_UP)._value.get() == unopened + 3
    genuine = registering(auth.ticket(number), fresh_secret(), phone=fresh_number())
    assert await refusal(auth.call(REGISTER, genuine)) is ErrorCode.CODE_REFUSED
    assert await auth.actions(number) == ["register.refused"]


async def test_a_lost_race_for_a_number_leaves_it_out_of_postgresqls_log(auth: Auth, servers: Stack) -> None:
    number = fresh_number()
    async with auth.database.acquire() as other, other.transaction():
        await other.execute(
            "insert into accounts (user_id, phone, nickname, dialect, client) values ($1, $2, '', '', '')",
            new_user_id(),
            number,
        )
        racing = asyncio.create_task(refusal(auth.register(number, fresh_secret())))
        await auth.wait_for_locks(1)

    assert await racing is ErrorCode.NUMBER_TAKEN
    assert number[1:] not in servers.servers.postgres.process.logs()


async def test_a_taken_number_is_refused_and_the_ticket_is_not_spent(auth: Auth) -> None:
    number = fresh_number()
    await auth.register(number, fresh_secret())
    verification_id = uuid4()
    request = registering(auth.ticket(number, verification_id=verification_id), fresh_secret())

    assert await refusal(auth.call(REGISTER, request)) is ErrorCode.NUMBER_TAKEN
    spent = await auth.database.fetchval(
        "select count(*) from spent_tickets where verification_id = $1", verification_id
    )
    assert spent == 0


async def test_many_tickets_for_one_number_at_once_make_one_account(auth: Auth) -> None:
    number = fresh_number()
    requests = [registering(auth.ticket(number), fresh_secret()) for _ in range(10)]

    outcomes = await asyncio.gather(
        *(
            until_taken(partial(auth.clients[place % 2].call, REGISTER, request))
            for place, request in enumerate(requests)
        ),
        return_exceptions=True,
    )

    refused = [outcome.code for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert refused == [ErrorCode.NUMBER_TAKEN] * 9


async def test_a_reset_sets_the_password_and_ends_every_earlier_session(auth: Auth) -> None:
    number, old, new = fresh_number(), fresh_secret(), fresh_secret()
    first = await auth.register(number, old)
    second = await auth.log_in(number, old)

    reset = await auth.call(RESET_PASSWORD, resetting(auth.ticket(number, RESET), new, phone=number))

    for ended in (first, second):
        assert await refusal(auth.call(RESOLVE, Resolve(token=ended.token))) is ErrorCode.UNAUTHENTICATED
    assert (await auth.call(RESOLVE, Resolve(token=reset.token))).session_id == reset.session_id
    assert reset.account.version == 2
    assert await refusal(auth.log_in(number, old)) is ErrorCode.CREDENTIALS_REFUSED
    assert (await auth.log_in(number, new)).account.user_id == first.account.user_id


async def test_a_reset_is_told_with_every_session_it_ended(auth: Auth) -> None:
    number, old = fresh_number(), fresh_secret()
    first = await auth.register(number, old)
    second = await auth.log_in(number, old)
    reset = await auth.call(RESET_PASSWORD, resetting(auth.ticket(number, RESET), fresh_secret()))

    heard = await auth.listener.of_user(first.account.user_id, 7)

    changed = [event for event in heard if event["type"] == PasswordChanged.key]
    data = CloudEvent[PasswordChanged].model_validate(changed[0])
    assert (len(changed), data.version, data.data.cause, data.data.sessions_revoked) == (1, 2, "reset", 2)
    revoked = [CloudEvent[SessionRevoked].model_validate(e) for e in heard if e["type"] == SessionRevoked.key]
    assert {event.subject for event in revoked} == {str(first.session_id), str(second.session_id)}
    assert {(event.version, event.data.cause) for event in revoked} == {(2, "reset_password")}
    opened = {event["subject"] for event in heard if event["type"] == SessionOpened.key}
    assert opened == {str(made.session_id) for made in (first, second, reset)}


async def test_a_reset_repeats_like_a_registration(auth: Auth) -> None:
    number, new = fresh_number(), fresh_secret()
    await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, RESET)
    first = await auth.call(RESET_PASSWORD, resetting(ticket, new))

    again = await auth.clients[1].call(RESET_PASSWORD, resetting(ticket, new))

    assert again.account.version == first.account.version == 2
    assert (await auth.call(RESOLVE, Resolve(token=first.token))).session_id == first.session_id
    other = resetting(ticket, fresh_secret())
    assert await refusal(auth.call(RESET_PASSWORD, other)) is ErrorCode.CODE_REFUSED


async def test_many_resets_of_one_ticket_at_once_set_one_password(auth: Auth) -> None:
    number = fresh_number()
    await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, RESET)
    secrets = [fresh_secret() for _ in range(20)]

    outcomes = await asyncio.gather(
        *(
            until_taken(partial(auth.clients[place % 2].call, RESET_PASSWORD, resetting(ticket, secret)))
            for place, secret in enumerate(secrets)
        ),
        return_exceptions=True,
    )

    won = [secret for secret, made in zip(secrets, outcomes, strict=True) if not isinstance(made, ServiceError)]
    assert len(won) == 1
    assert (await auth.log_in(number, won[0])).account.version == 2


async def test_a_log_in_with_the_old_password_never_outlives_a_reset(auth: Auth) -> None:
    number, old, new = fresh_number(), fresh_secret(), fresh_secret()
    await auth.register(number, old)

    *opened, reset = await asyncio.gather(
        *(until_taken(partial(auth.log_in, number, old)) for _ in range(8)),
        until_taken(partial(auth.clients[1].call, RESET_PASSWORD, resetting(auth.ticket(number, RESET), new))),
        return_exceptions=True,
    )

    for outcome in opened:
        if isinstance(outcome, ServiceError):
            assert outcome.code is ErrorCode.CREDENTIALS_REFUSED
        else:
            assert await refusal(auth.call(RESOLVE, Resolve(token=outcome.token))) is ErrorCode.UNAUTHENTICATED
    assert (await auth.call(RESOLVE, Resolve(token=reset.token))).session_id == reset.session_id


async def test_a_reset_without_an_account_is_refused(auth: Auth) -> None:
    request = resetting(auth.ticket(fresh_number(), RESET), fresh_secret())

    assert await refusal(auth.call(RESET_PASSWORD, request)) is ErrorCode.NO_ACCOUNT


async def test_a_banned_account_cannot_reset_and_keeps_its_ticket(auth: Auth) -> None:
    number, new = fresh_number(), fresh_secret()
    await auth.register(number, fresh_secret())
    request = resetting(auth.ticket(number, RESET), new)
    await auth.database.execute("update accounts set banned_at = now() where phone = $1", number)
    assert await refusal(auth.call(RESET_PASSWORD, request)) is ErrorCode.ACCOUNT_BANNED

    await auth.database.execute("update accounts set banned_at = null where phone = $1", number)

    assert (await auth.call(RESET_PASSWORD, request)).account.version == 2


async def test_no_table_holds_a_secret_a_token_or_a_ticket_and_only_accounts_hold_a_number(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    ticket = auth.ticket(number)
    made = await auth.call(REGISTER, registering(ticket, secret))
    logged_in = await auth.log_in(number, secret)
    await refusal(auth.log_in(number, fresh_secret()))
    await refusal(auth.call(REGISTER, registering(ticket, fresh_secret())))

    tables = [row[0] for row in await auth.database.fetch("select tablename from pg_tables where schemaname='public'")]
    found = {}
    for table in tables:
        rows = await auth.database.fetch(f'select * from "{table}"')
        found[table] = "\n".join(
            value.decode("latin1") if isinstance(value, bytes) else str(value) for row in rows for value in row.values()
        )

    for planted in (secret, made.token, logged_in.token, ticket):
        assert not [table for table, text in found.items() if planted in text]
    assert [table for table, text in found.items() if number[3:] in text] == ["accounts"]
