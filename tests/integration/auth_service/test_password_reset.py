"""Password reset on a real PostgreSQL: one ticket, one password, no earlier session."""

import asyncio
from functools import partial

from support.auth import Auth, fresh_number, fresh_secret, password_reset, refusal
from support.patience import until_accepted

from shared.errors import ErrorCode, ServiceError
from shared.events.catalogue import PasswordChanged, SessionOpened, SessionRevoked
from shared.events.envelope import CloudEvent
from shared.internal_api.auth import (
    RESET_PASSWORD,
    RESOLVE,
    Resolve,
)
from shared.internal_api.sms import Purpose

RESET = Purpose.RESET_PASSWORD


async def test_a_reset_sets_the_password_and_ends_every_earlier_session(auth: Auth) -> None:
    number, old, new = fresh_number(), fresh_secret(), fresh_secret()
    first = await auth.register(number, old)
    second = await auth.log_in(number, old)

    reset = await auth.call(RESET_PASSWORD, password_reset(auth.ticket(number, RESET), new, phone=number))

    for ended in (first, second):
        assert await refusal(auth.call(RESOLVE, Resolve(token=ended.token))) is ErrorCode.UNAUTHENTICATED
    assert (await auth.call(RESOLVE, Resolve(token=reset.token))).session_id == reset.session_id
    assert reset.account.version == 2
    assert await refusal(auth.log_in(number, old)) is ErrorCode.CREDENTIALS_REFUSED
    assert (await auth.log_in(number, new)).account.user_id == first.account.user_id


async def test_a_reset_is_published_with_every_session_that_it_ended(auth: Auth) -> None:
    number, old = fresh_number(), fresh_secret()
    first = await auth.register(number, old)
    second = await auth.log_in(number, old)
    reset = await auth.call(RESET_PASSWORD, password_reset(auth.ticket(number, RESET), fresh_secret()))

    events = await auth.listener.of_user(first.account.user_id, 7)

    changed = [event for event in events if event["type"] == PasswordChanged.key]
    data = CloudEvent[PasswordChanged].model_validate(changed[0])
    assert (len(changed), data.version, data.data.cause, data.data.sessions_revoked) == (1, 2, "reset", 2)
    revoked = [CloudEvent[SessionRevoked].model_validate(e) for e in events if e["type"] == SessionRevoked.key]
    assert {event.subject for event in revoked} == {str(first.session_id), str(second.session_id)}
    assert {(event.version, event.data.cause) for event in revoked} == {(2, "reset_password")}
    opened = {event["subject"] for event in events if event["type"] == SessionOpened.key}
    assert opened == {str(opening.session_id) for opening in (first, second, reset)}


async def test_a_repeat_of_a_reset_succeeds_with_the_same_password_only(auth: Auth) -> None:
    number, new = fresh_number(), fresh_secret()
    await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, RESET)
    first = await auth.call(RESET_PASSWORD, password_reset(ticket, new))

    again = await auth.clients[1].call(RESET_PASSWORD, password_reset(ticket, new))

    assert again.account.version == first.account.version == 2
    assert (await auth.call(RESOLVE, Resolve(token=first.token))).session_id == first.session_id
    other = password_reset(ticket, fresh_secret())
    assert await refusal(auth.call(RESET_PASSWORD, other)) is ErrorCode.CODE_REFUSED


async def test_concurrent_resets_with_one_ticket_set_one_password(auth: Auth) -> None:
    number = fresh_number()
    await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, RESET)
    secrets = [fresh_secret() for _ in range(20)]

    outcomes = await asyncio.gather(
        *(
            until_accepted(partial(auth.clients[index % 2].call, RESET_PASSWORD, password_reset(ticket, secret)))
            for index, secret in enumerate(secrets)
        ),
        return_exceptions=True,
    )

    won = [secret for secret, opening in zip(secrets, outcomes, strict=True) if not isinstance(opening, ServiceError)]
    assert len(won) == 1
    assert (await auth.log_in(number, won[0])).account.version == 2


async def test_no_concurrent_log_in_with_the_old_password_survives_a_reset(auth: Auth) -> None:
    number, old, new = fresh_number(), fresh_secret(), fresh_secret()
    await auth.register(number, old)

    *opened, reset = await asyncio.gather(
        *(until_accepted(partial(auth.log_in, number, old)) for _ in range(8)),
        until_accepted(partial(auth.clients[1].call, RESET_PASSWORD, password_reset(auth.ticket(number, RESET), new))),
        return_exceptions=True,
    )

    for outcome in opened:
        if isinstance(outcome, ServiceError):
            assert outcome.code is ErrorCode.CREDENTIALS_REFUSED
        else:
            assert await refusal(auth.call(RESOLVE, Resolve(token=outcome.token))) is ErrorCode.UNAUTHENTICATED
    assert (await auth.call(RESOLVE, Resolve(token=reset.token))).session_id == reset.session_id


async def test_a_reset_without_an_account_is_refused(auth: Auth) -> None:
    request = password_reset(auth.ticket(fresh_number(), RESET), fresh_secret())

    assert await refusal(auth.call(RESET_PASSWORD, request)) is ErrorCode.NO_ACCOUNT


async def test_a_banned_account_cannot_be_reset_and_its_ticket_is_not_spent(auth: Auth) -> None:
    number, new = fresh_number(), fresh_secret()
    await auth.register(number, fresh_secret())
    request = password_reset(auth.ticket(number, RESET), new)
    await auth.database.execute("update accounts set banned_at = now() where phone = $1", number)
    assert await refusal(auth.call(RESET_PASSWORD, request)) is ErrorCode.ACCOUNT_BANNED

    await auth.database.execute("update accounts set banned_at = null where phone = $1", number)

    assert (await auth.call(RESET_PASSWORD, request)).account.version == 2
