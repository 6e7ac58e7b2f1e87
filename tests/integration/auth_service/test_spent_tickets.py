"""The spent tickets of verifications: on what each was spent, and whether its session lives."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from support.auth import Auth, code_login, fresh_number, fresh_secret, registration

from shared.internal_api.auth import (
    END_SESSION,
    FIND_SPENT,
    LOG_IN_WITH_CODE,
    REGISTER,
    EndSession,
    FindSpent,
    SpentTickets,
)
from shared.internal_api.sms import Purpose


async def find(auth: Auth, *verification_ids: UUID) -> SpentTickets:
    found: SpentTickets = await auth.call(FIND_SPENT, FindSpent(verification_ids=list(verification_ids)))
    return found


async def test_a_ticket_spent_on_registration_is_listed_with_its_session_until_that_ends(auth: Auth) -> None:
    number, verification_id = fresh_number(), uuid4()
    ticket = auth.ticket(number, verification_id=verification_id)
    user = await auth.call(REGISTER, registration(ticket, fresh_secret()))

    (spent,) = (await find(auth, verification_id, uuid4())).tickets
    assert (spent.verification_id, spent.purpose) == (verification_id, Purpose.SIGN_UP)
    assert (spent.user_id, spent.repeats, spent.session_lives) == (user.account.user_id, 0, True)

    await auth.call(END_SESSION, EndSession(user_id=user.account.user_id, session_id=user.session_id))
    (spent,) = (await find(auth, verification_id)).tickets
    assert not spent.session_lives


async def test_a_ticket_spent_on_a_log_in_is_listed_with_its_session(auth: Auth) -> None:
    number, verification_id = fresh_number(), uuid4()
    await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, Purpose.SIGN_IN, verification_id=verification_id)
    await auth.call(LOG_IN_WITH_CODE, code_login(ticket))

    (spent,) = (await find(auth, verification_id)).tickets
    assert (spent.purpose, spent.session_lives) == (Purpose.SIGN_IN, True)


async def test_an_unspent_ticket_is_not_listed_and_the_response_says_how_far_back_it_reaches(auth: Auth) -> None:
    response = await find(auth, uuid4())
    assert response.tickets == []
    assert abs(datetime.now(UTC) - timedelta(days=1) - response.known_since) < timedelta(minutes=1)
