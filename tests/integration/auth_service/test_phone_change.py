"""Change of number on a real PostgreSQL: two tickets, one change."""

import asyncio
from collections import Counter
from datetime import timedelta
from functools import partial
from uuid import uuid4

from stack.system import Stack
from support.auth import HOME, Auth, fresh_number, fresh_secret, refusal
from support.patience import until_accepted

from auth_service.accounts.user_ids import new_user_id
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    CHANGE_PHONE,
    FIND_CHANGE,
    LOOK_UP,
    RESOLVE,
    ChangePhone,
    FindChange,
    LoggedIn,
    LookUp,
    Resolve,
)
from shared.internal_api.sms import Purpose
from shared.phone import E164, ref_hex
from shared.tickets import FRESH, LIFETIME

CHANGE = Purpose.CHANGE_PHONE


def changing(auth: Auth, user: LoggedIn, to: E164, **more: str) -> ChangePhone:
    tickets = {
        "old_ticket": auth.ticket(E164(user.account.phone), CHANGE),
        "new_ticket": auth.ticket(to, CHANGE),
    }
    fields = {**tickets, "address": HOME, **more}
    return ChangePhone(user_id=user.account.user_id, session_id=user.session_id, **fields, dialect="tel")


async def test_the_account_has_the_new_number_and_the_session_that_asked(auth: Auth) -> None:
    old, new, secret = fresh_number(), fresh_number(), fresh_secret()
    user = await auth.register(old, secret)

    changed = await auth.call(CHANGE_PHONE, changing(auth, user, new))

    assert (changed.phone, changed.version) == (new, 2)
    assert (await auth.call(RESOLVE, Resolve(token=user.token))).account.phone == new
    assert (await auth.call(LOOK_UP, LookUp(phones=[old]))).registered == [False]
    assert (await auth.log_in(new, secret)).account.user_id == user.account.user_id
    assert await refusal(auth.log_in(old, secret)) is ErrorCode.CREDENTIALS_REFUSED


async def test_a_change_is_published_with_the_new_reference(auth: Auth) -> None:
    user, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()

    await auth.call(CHANGE_PHONE, changing(auth, user, new))

    events = await auth.listener.of_user(user.account.user_id, 3)
    updated = [event for event in events if event["type"] == "auth.user.updated.v1"]
    assert [event["version"] for event in updated] == [2]
    assert updated[0]["data"]["phone_ref"] == ref_hex(auth.phones.ref(new))
    assert updated[0]["data"]["disabled"] is False
    assert updated[0]["data"]["dialect"] == "maitian"
    assert new[1:] not in str(events)


async def test_a_repeat_succeeds_again_and_changes_nothing(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    request = changing(auth, user, fresh_number())

    first, *repeats = [await auth.clients[index % 2].call(CHANGE_PHONE, request) for index in range(3)]

    assert repeats == [first, first]


async def test_one_of_many_concurrent_changes_succeeds(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    requests = [changing(auth, user, fresh_number()) for _ in range(6)]
    calls = [
        until_accepted(partial(auth.clients[index % 2].call, CHANGE_PHONE, request))
        for index, request in enumerate(requests)
    ]

    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert Counter(getattr(outcome, "code", "changed") for outcome in outcomes) == {
        "changed": 1,
        ErrorCode.CODE_REFUSED: 5,
    }


async def test_one_of_many_accounts_gets_the_same_new_number(auth: Auth) -> None:
    new = fresh_number()
    users = [await auth.register(fresh_number(), fresh_secret()) for _ in range(4)]
    calls = [
        until_accepted(partial(auth.clients[index % 2].call, CHANGE_PHONE, changing(auth, user, new)))
        for index, user in enumerate(users)
    ]

    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert Counter(getattr(outcome, "code", "changed") for outcome in outcomes) == {
        "changed": 1,
        ErrorCode.NUMBER_TAKEN: 3,
    }


async def test_a_lost_race_for_a_number_does_not_write_it_into_the_log_of_postgresql(
    auth: Auth, servers: Stack
) -> None:
    user, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()
    async with auth.database.acquire() as other, other.transaction():
        await other.execute(
            "insert into accounts (user_id, phone, nickname, dialect, client) values ($1, $2, '', '', '')",
            new_user_id(),
            new,
        )
        waiting = asyncio.create_task(refusal(auth.call(CHANGE_PHONE, changing(auth, user, new))))
        await auth.wait_for_locks(1)

    assert await waiting is ErrorCode.NUMBER_TAKEN
    assert new[1:] not in servers.servers.postgres.process.logs()


async def test_a_registration_waits_for_a_change_to_its_number(auth: Auth, servers: Stack) -> None:
    user, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()
    async with auth.database.acquire() as other, other.transaction():  # the change waits with its number reserved
        await other.execute("select from accounts where user_id = $1 for update", user.account.user_id)
        change = asyncio.create_task(auth.call(CHANGE_PHONE, changing(auth, user, new)))
        await auth.wait_for_locks(1)
        waiting = asyncio.create_task(refusal(auth.register(new, fresh_secret())))
        await auth.wait_for_locks(2)

    assert (await change).phone == new
    assert await waiting is ErrorCode.NUMBER_TAKEN
    assert new[1:] not in servers.servers.postgres.process.logs()


async def test_a_taken_number_is_refused_and_spends_no_ticket(auth: Auth) -> None:
    taken_number = fresh_number()
    await auth.register(taken_number, fresh_secret())
    user = await auth.register(fresh_number(), fresh_secret())
    old_ticket = auth.ticket(E164(user.account.phone), CHANGE)

    refused = changing(auth, user, taken_number, old_ticket=old_ticket)
    assert await refusal(auth.call(CHANGE_PHONE, refused)) is ErrorCode.NUMBER_TAKEN
    assert (await auth.call(CHANGE_PHONE, changing(auth, user, fresh_number(), old_ticket=old_ticket))).version == 2


async def test_the_present_number_is_refused_as_taken(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())

    request = changing(auth, user, E164(user.account.phone))

    assert await refusal(auth.call(CHANGE_PHONE, request)) is ErrorCode.NUMBER_TAKEN


async def test_both_tickets_are_verified(auth: Auth) -> None:
    user, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()
    old = E164(user.account.phone)
    for more in (
        {"old_ticket": auth.ticket(fresh_number(), CHANGE)},
        {"old_ticket": auth.ticket(old, Purpose.RESET_PASSWORD)},
        {"old_ticket": auth.ticket(old, CHANGE, left=timedelta(0))},
        {"old_ticket": auth.ticket(old, CHANGE, left=LIFETIME - FRESH)},
        {"new_ticket": auth.ticket(new, Purpose.SIGN_UP)},
        {"new_ticket": auth.ticket(new, CHANGE, left=timedelta(0))},
        {"new_ticket": "nothing"},
    ):
        request = changing(auth, user, new, **more)
        assert await refusal(auth.call(CHANGE_PHONE, request)) is ErrorCode.CODE_REFUSED

    refused = "select detail from audit_log where user_id = $1 and action = 'change_phone.refused' order by at, id"
    rows = await auth.database.fetch(refused, user.account.user_id)
    assert [row["detail"] for row in rows] == [
        *["code_refused", "unproven", "unproven", "code_refused"],
        *["unproven", "unproven", "unproven"],
    ]
    assert (await auth.call(CHANGE_PHONE, changing(auth, user, new))).phone == new


async def test_a_ticket_spent_on_one_change_is_refused_for_another(auth: Auth) -> None:
    user, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()
    request = changing(auth, user, new)
    await auth.call(CHANGE_PHONE, request)

    back = request.model_copy(update={"old_ticket": request.new_ticket, "new_ticket": request.old_ticket})
    elsewhere = request.model_copy(update={"new_ticket": auth.ticket(fresh_number(), CHANGE)})

    for spent in (elsewhere, back):
        assert await refusal(auth.call(CHANGE_PHONE, spent)) is ErrorCode.CODE_REFUSED


async def test_the_verification_of_the_old_number_is_found_by_the_ticket_of_the_new_one(auth: Auth) -> None:
    user, new, old_id = await auth.register(fresh_number(), fresh_secret()), fresh_number(), uuid4()
    old_ticket = auth.ticket(E164(user.account.phone), CHANGE, verification_id=old_id)
    request = changing(auth, user, new, old_ticket=old_ticket)
    find_change = FindChange(user_id=user.account.user_id, new_ticket=request.new_ticket)

    assert (await auth.call(FIND_CHANGE, find_change)).old_verification_id is None
    await auth.call(CHANGE_PHONE, request)

    assert (await auth.call(FIND_CHANGE, find_change)).old_verification_id == old_id
    other_user = FindChange(user_id=user.account.user_id + 1, new_ticket=request.new_ticket)
    assert (await auth.call(FIND_CHANGE, other_user)).old_verification_id is None
