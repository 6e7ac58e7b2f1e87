"""Log-in with a code on a real PostgreSQL: what a ticket opens, for whom, and how often."""

import asyncio
from datetime import timedelta
from functools import partial
from uuid import uuid4

from support.auth import (
    HOME,
    Auth,
    code_login,
    fresh_address,
    fresh_number,
    fresh_secret,
    password_reset,
    refusal,
    registration,
)
from support.patience import until_accepted

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LOG_IN_WITH_CODE, REGISTER, RESET_PASSWORD
from shared.internal_api.sms import Purpose
from shared.phone import E164
from shared.tickets import MAX_REPEATS, REPEAT_WINDOW

AGE_SPENT_TICKET = "update spent_tickets set spent_at = spent_at - $2::interval where verification_id = $1"


async def test_a_ticket_opens_a_session_and_a_repeat_opens_another(auth: Auth) -> None:
    number: E164 = fresh_number()
    user = await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, Purpose.SIGN_IN)

    entered = await auth.call(LOG_IN_WITH_CODE, code_login(ticket, client="watch"))
    again = await auth.call(LOG_IN_WITH_CODE, code_login(ticket, client="watch"))

    assert entered.account.user_id == again.account.user_id == user.account.user_id
    assert entered.session_id != again.session_id
    assert (await auth.actions(number))[-2:] == ["log_in_with_code.succeeded"] * 2


async def test_a_ticket_opens_six_sessions_and_no_more_even_at_once(auth: Auth) -> None:
    number = fresh_number()
    await auth.register(number, fresh_secret())
    request = code_login(auth.ticket(number, Purpose.SIGN_IN))
    calls = [until_accepted(partial(auth.clients[index % 2].call, LOG_IN_WITH_CODE, request)) for index in range(30)]

    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    refused = [outcome.code for outcome in outcomes if isinstance(outcome, ServiceError)]
    assert refused == [ErrorCode.CODE_REFUSED] * (29 - MAX_REPEATS)


async def test_a_used_ticket_opens_nothing_in_another_network_and_costs_its_owner_no_repeat(auth: Auth) -> None:
    number = fresh_number()
    await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, Purpose.SIGN_IN)
    await auth.call(LOG_IN_WITH_CODE, code_login(ticket))

    for _ in range(50):
        elsewhere = auth.call(LOG_IN_WITH_CODE, code_login(ticket, address=fresh_address()))
        assert await refusal(elsewhere) is ErrorCode.CODE_REFUSED

    for _ in range(MAX_REPEATS):
        assert await auth.call(LOG_IN_WITH_CODE, code_login(ticket))


async def test_a_used_ticket_opens_nothing_after_a_minute(auth: Auth) -> None:
    number, verification_id = fresh_number(), uuid4()
    await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, Purpose.SIGN_IN, verification_id=verification_id)
    await auth.call(LOG_IN_WITH_CODE, code_login(ticket))

    await auth.database.execute(AGE_SPENT_TICKET, verification_id, REPEAT_WINDOW)

    assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(ticket))) is ErrorCode.CODE_REFUSED


async def test_a_ticket_that_only_repeats_opens_nothing(auth: Auth) -> None:
    number, verification_id = fresh_number(), uuid4()
    await auth.register(number, fresh_secret())
    repeating = auth.ticket(number, Purpose.SIGN_IN, verification_id=verification_id, repeats_only=True)

    assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(repeating))) is ErrorCode.CODE_REFUSED
    ticket = auth.ticket(number, Purpose.SIGN_IN, verification_id=verification_id)
    assert await auth.call(LOG_IN_WITH_CODE, code_login(ticket, address=HOME))
    assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(repeating))) is ErrorCode.CODE_REFUSED


async def test_the_audit_log_has_the_app_where_its_server_did_not_tell_the_address(auth: Auth) -> None:
    number, untold = fresh_number(), {"address": None, "app": "shop"}
    too_early = code_login(auth.ticket(number, Purpose.SIGN_IN), **untold)
    assert await refusal(auth.call(LOG_IN_WITH_CODE, too_early)) is ErrorCode.NO_ACCOUNT
    await auth.call(REGISTER, registration(auth.ticket(number), fresh_secret(), **untold))
    await auth.call(LOG_IN_WITH_CODE, code_login(auth.ticket(number, Purpose.SIGN_IN), **untold))
    reset = password_reset(auth.ticket(number, Purpose.RESET_PASSWORD), fresh_secret(), **untold)
    await auth.call(RESET_PASSWORD, reset)
    await auth.call(LOG_IN_WITH_CODE, code_login(auth.ticket(number, Purpose.SIGN_IN), address=HOME, app="shop"))

    assert await auth.networks(number) == [
        ("log_in_with_code.refused", "app shop"),
        ("register.succeeded", "app shop"),
        ("log_in_with_code.succeeded", "app shop"),
        ("reset_password.succeeded", "app shop"),
        ("log_in_with_code.succeeded", "2001:db8::/56"),
    ]


async def test_a_log_in_needs_a_ticket_for_that_purpose_and_an_account(auth: Auth) -> None:
    number = fresh_number()
    wrong = auth.ticket(number)
    late = auth.ticket(number, Purpose.SIGN_IN, verification_id=uuid4(), left=timedelta(seconds=-1))

    unproven = "select count(*) from audit_log where action = 'log_in_with_code.unproven' and phone_ref is null"
    before = await auth.database.fetchval(unproven)
    for ticket in (wrong, late, "nonsense"):
        assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(ticket))) is ErrorCode.CODE_REFUSED
    assert await auth.database.fetchval(unproven) == before + 3
    ticket = auth.ticket(number, Purpose.SIGN_IN)
    assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(ticket))) is ErrorCode.NO_ACCOUNT
    assert await auth.actions(number) == ["log_in_with_code.refused"]
