"""Repeats of a registration or a reset, on a real PostgreSQL: a used code is no way to guess the password."""

from uuid import uuid4

import pytest
from support.auth import Auth, fresh_address, fresh_number, fresh_secret, password_reset, refusal, registration
from support.login_limits import LIMITS

from shared.errors import ErrorCode
from shared.internal_api.auth import REGISTER, RESET_PASSWORD
from shared.internal_api.sms import Purpose

CALLS = {Purpose.SIGN_UP: (REGISTER, registration), Purpose.RESET_PASSWORD: (RESET_PASSWORD, password_reset)}


@pytest.mark.parametrize("purpose", CALLS)
@pytest.mark.parametrize("repeats_only", [True, False])
async def test_a_wrong_password_with_a_used_ticket_counts_as_a_failed_log_in(
    auth: Auth, purpose: Purpose, repeats_only: bool
) -> None:
    number, secret, home, elsewhere = fresh_number(), fresh_secret(), fresh_address(), fresh_address()
    (endpoint, request_of), verification_id = CALLS[purpose], uuid4()
    if purpose is Purpose.RESET_PASSWORD:
        await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, purpose, verification_id=verification_id)
    await auth.call(endpoint, request_of(ticket, secret, address=home))
    of_stranger = auth.ticket(number, purpose, verification_id=verification_id, repeats_only=repeats_only)

    guesses = [
        await refusal(auth.call(endpoint, request_of(of_stranger, fresh_secret(), address=elsewhere)))
        for _ in range(LIMITS.failures_per_number)
    ]
    lucky = await refusal(auth.call(endpoint, request_of(of_stranger, secret, address=elsewhere)))

    assert {*guesses, lucky} == {ErrorCode.CODE_REFUSED}
    assert await refusal(auth.log_in(number, secret, elsewhere)) is ErrorCode.CALLER_LIMIT
    assert (await auth.call(endpoint, request_of(ticket, secret, address=home))).account.phone == number
