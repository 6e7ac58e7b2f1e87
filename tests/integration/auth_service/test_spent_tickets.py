"""What auth-service tells of the tickets that verifications gave: spent or not, on what, and whether it lasts."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from support.auth import Auth, fresh_number, fresh_secret, running

from shared.internal_api.auth import (
    END_SESSION,
    FIND_SPENT,
    LOG_IN_WITH_CODE,
    REGISTER,
    EndSession,
    FindSpent,
    LogInWithCode,
    Register,
    SpentTickets,
)
from shared.internal_api.sms import Purpose


@pytest.fixture(scope="module")
async def auth(postgres_url: str, amqp_url: str) -> AsyncIterator[Auth]:
    async with running(postgres_url, amqp_url) as auth:
        yield auth


async def find(auth: Auth, *verification_ids: UUID) -> SpentTickets:
    answer: SpentTickets = await auth.call(FIND_SPENT, FindSpent(verification_ids=list(verification_ids)))
    return answer


async def test_a_ticket_that_opened_an_account_is_told_with_its_session_until_that_ends(auth: Auth) -> None:
    number, verification_id = fresh_number(), uuid4()
    ticket = auth.ticket(number, verification_id=verification_id)
    made = await auth.call(REGISTER, Register(ticket=ticket, secret=fresh_secret(), dialect="maitian"))

    (spent,) = (await find(auth, verification_id, uuid4())).tickets
    assert (spent.verification_id, spent.purpose) == (verification_id, Purpose.SIGN_UP)
    assert (spent.user_id, spent.repeats, spent.session_lives) == (made.account.user_id, 0, True)

    await auth.call(END_SESSION, EndSession(user_id=made.account.user_id, session_id=made.session_id))
    (spent,) = (await find(auth, verification_id)).tickets
    assert not spent.session_lives


async def test_a_ticket_that_signed_in_is_told_with_its_session(auth: Auth) -> None:
    number, verification_id = fresh_number(), uuid4()
    await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, Purpose.SIGN_IN, verification_id=verification_id)
    await auth.call(LOG_IN_WITH_CODE, LogInWithCode(ticket=ticket, dialect="native"))

    (spent,) = (await find(auth, verification_id)).tickets
    assert (spent.purpose, spent.session_lives) == (Purpose.SIGN_IN, True)


async def test_a_ticket_that_nobody_spent_is_not_told_and_the_answer_says_how_far_back_it_knows(auth: Auth) -> None:
    answer = await find(auth, uuid4())
    assert answer.tickets == []
    assert abs(datetime.now(UTC) - timedelta(days=1) - answer.known_since) < timedelta(minutes=1)
