"""``python -m auth_service after-restore`` on a real PostgreSQL: what may have ended since the backup ends, for good."""

from collections.abc import AsyncIterator
from typing import Any

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
    running,
)

from auth_service.recovery.recovery import VERSION_JUMP
from shared.errors import ErrorCode
from shared.internal_api.auth import CHANGE_PHONE, LOG_IN_WITH_CODE, REGISTER, RESET_PASSWORD, ChangePhone, LoggedIn
from shared.internal_api.sms import Purpose
from shared.phone import E164

OPERATOR = ("--by", "night shift", "--reason", "a restored backup")
ENDED = "select detail, actor from audit_log where action = 'session.ended' and user_id = $1"
RECORDED = "select actor, reason, detail from audit_log where action = 'backup.restored'"


@pytest.fixture
async def auth(postgres_url: str, amqp_url: str) -> AsyncIterator[Auth]:
    """auth-service on a database of the test's own, because the command concerns every user of it."""
    async with running(postgres_url, amqp_url) as auth:
        yield auth


async def recover(auth: Auth) -> str:
    status, output = await command(auth, "after-restore", *OPERATOR)
    assert status == 0, output
    return output


async def test_every_session_ends_with_its_refresh_tokens_and_its_event(auth: Auth) -> None:
    users = [await auth.register(fresh_number(), fresh_secret()) for _ in range(2)]

    output = await recover(auth)

    assert output.startswith("ended 2 sessions, and the tickets of 2 accounts\n")
    for user in users:
        assert await auth.has_ended(user.token)
        (event,) = await auth.listener.of_user(user.account.user_id, 1, "auth.session.revoked.v1")
        assert (event["data"]["session_id"], event["data"]["cause"]) == (str(user.session_id), "restored")
        assert tuple(await auth.database.fetchrow(ENDED, user.account.user_id)) == ("restored", "night shift")
    assert await auth.database.fetchval("select count(*) from refresh_tokens") == 0
    recorded = await auth.database.fetch(RECORDED)
    assert [tuple(row) for row in recorded] == [("night shift", "a restored backup", "2 sessions, 2 accounts")]


async def test_the_next_change_of_a_user_is_newer_than_everything_before(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)

    await recover(auth)
    await auth.reset_password(number, fresh_secret())

    version = await auth.database.fetchval("select version from accounts where user_id = $1", user.account.user_id)
    assert version == user.account.version + VERSION_JUMP + 1


async def test_no_ticket_from_before_opens_or_changes_anything_and_a_new_one_does(auth: Auth) -> None:
    number, free_number = fresh_number(), fresh_number()
    user = await auth.register(number, fresh_secret())
    before = calls(auth, user, number, free_number)

    await recover(auth)

    for name, call in before.items():
        assert await refusal(auth.call(*call)) is ErrorCode.CODE_REFUSED, name
    after = calls(auth, user, number, free_number)
    assert (await auth.call(*after["log in"])).account.user_id == user.account.user_id
    assert (await auth.call(*after["register"])).account.phone == free_number


def calls(auth: Auth, user: LoggedIn, number: E164, free_number: E164) -> dict[str, tuple[Any, Any]]:
    """Each call that a ticket opens, with tickets that are made now."""
    change = ChangePhone(
        user_id=user.account.user_id,
        session_id=user.session_id,
        old_ticket=auth.ticket(number, Purpose.CHANGE_PHONE),
        new_ticket=auth.ticket(free_number, Purpose.CHANGE_PHONE),
        address=HOME,
        dialect="native",
    )
    reset = password_reset(auth.ticket(number, Purpose.RESET_PASSWORD), fresh_secret())
    return {
        "register": (REGISTER, registration(auth.ticket(free_number), fresh_secret())),
        "log in": (LOG_IN_WITH_CODE, code_login(auth.ticket(number, Purpose.SIGN_IN))),
        "reset": (RESET_PASSWORD, reset),
        "change number": (CHANGE_PHONE, change),
    }


async def test_the_command_can_run_again(auth: Auth) -> None:
    await auth.register(fresh_number(), fresh_secret())
    await recover(auth)

    assert (await recover(auth)).startswith("ended 0 sessions, and the tickets of 1 accounts\n")
