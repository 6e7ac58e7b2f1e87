"""Log-in with a code on a real PostgreSQL: what a ticket opens, and how often."""

import asyncio
from datetime import timedelta
from functools import partial
from uuid import uuid4

from support.auth import Auth, fresh_number, fresh_secret, password_change, refusal
from support.patience import until_accepted

from auth_service.sessions.code_login import MAX_REPEATS
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    LOG_IN_WITH_CODE,
    LogInWithCode,
)
from shared.internal_api.sms import Purpose
from shared.phone import E164


async def test_a_ticket_opens_a_session_and_a_repeat_opens_another(auth: Auth) -> None:
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
    calls = [until_accepted(partial(auth.clients[index % 2].call, LOG_IN_WITH_CODE, request)) for index in range(10)]

    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    refused = [outcome.code for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert refused == [ErrorCode.CODE_REFUSED] * (9 - MAX_REPEATS)


async def test_a_ticket_spent_before_a_password_change_is_refused_and_an_unspent_one_is_not(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    ticket, unspent = (auth.ticket(number, Purpose.SIGN_IN) for _ in range(2))
    await auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native"))
    await auth.call(CHANGE_PASSWORD, password_change(user, secret, fresh_secret()))

    assert (
        await refusal(auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native")))
        is ErrorCode.CODE_REFUSED
    )
    assert (
        await auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=unspent, dialect="native"))
    ).account.user_id == user.account.user_id


async def test_a_log_in_needs_a_ticket_for_that_purpose_and_an_account(auth: Auth) -> None:
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
