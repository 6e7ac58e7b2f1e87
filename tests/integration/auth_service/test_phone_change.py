"""Change of number on a real PostgreSQL: two tickets, one change."""

import asyncio
from collections import Counter
from datetime import timedelta
from functools import partial
from uuid import uuid4

from stack.system import Stack
from support.auth import Auth, fresh_number, fresh_secret, refusal
from support.patience import until_taken

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

CHANGE = Purpose.CHANGE_PHONE


def changing(auth: Auth, made: LoggedIn, to: E164, **more: str) -> ChangePhone:
    tickets = {
        "old_ticket": auth.ticket(E164(made.account.phone), CHANGE),
        "new_ticket": auth.ticket(to, CHANGE),
    }
    return ChangePhone(user_id=made.account.user_id, session_id=made.session_id, **{**tickets, **more}, dialect="tel")


async def test_the_account_has_the_new_number_and_the_session_that_asked(auth: Auth) -> None:
    old, new, secret = fresh_number(), fresh_number(), fresh_secret()
    made = await auth.register(old, secret)

    changed = await auth.call(CHANGE_PHONE, changing(auth, made, new))

    assert (changed.phone, changed.version) == (new, 2)
    assert (await auth.call(RESOLVE, Resolve(token=made.token))).account.phone == new
    assert (await auth.call(LOOK_UP, LookUp(phones=[old]))).registered == [False]
    assert (await auth.log_in(new, secret)).account.user_id == made.account.user_id
    assert await refusal(auth.log_in(old, secret)) is ErrorCode.CREDENTIALS_REFUSED


async def test_a_change_is_published_with_the_new_reference(auth: Auth) -> None:
    made, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()

    await auth.call(CHANGE_PHONE, changing(auth, made, new))

    told = await auth.listener.of_user(made.account.user_id, 3)
    updated = [event for event in told if event["type"] == "auth.user.updated.v1"]
    assert [event["version"] for event in updated] == [2]
    assert updated[0]["data"]["phone_ref"] == ref_hex(auth.phones.ref(new))
    assert updated[0]["data"]["disabled"] is False
    assert updated[0]["data"]["dialect"] == "maitian"
    assert new[1:] not in str(told)


async def test_a_repeat_succeeds_again_and_changes_nothing(auth: Auth) -> None:
    made = await auth.register(fresh_number(), fresh_secret())
    request = changing(auth, made, fresh_number())

    first, *repeats = [await auth.clients[turn % 2].call(CHANGE_PHONE, request) for turn in range(3)]

    assert repeats == [first, first]


async def test_one_of_many_concurrent_changes_succeeds(auth: Auth) -> None:
    made = await auth.register(fresh_number(), fresh_secret())
    requests = [changing(auth, made, fresh_number()) for _ in range(6)]
    asked = [
        until_taken(partial(auth.clients[turn % 2].call, CHANGE_PHONE, request))
        for turn, request in enumerate(requests)
    ]

    outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert Counter(getattr(outcome, "code", "made") for outcome in outcomes) == {"made": 1, ErrorCode.CODE_REFUSED: 5}


async def test_one_of_many_accounts_gets_the_same_new_number(auth: Auth) -> None:
    new = fresh_number()
    made = [await auth.register(fresh_number(), fresh_secret()) for _ in range(4)]
    asked = [
        until_taken(partial(auth.clients[turn % 2].call, CHANGE_PHONE, changing(auth, one, new)))
        for turn, one in enumerate(made)
    ]

    outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert Counter(getattr(outcome, "code", "made") for outcome in outcomes) == {"made": 1, ErrorCode.NUMBER_TAKEN: 3}


async def test_a_lost_race_for_a_number_does_not_write_it_into_the_log_of_postgresql(
    auth: Auth, servers: Stack
) -> None:
    made, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()
    async with auth.database.acquire() as other, other.transaction():
        await other.execute(
            "insert into accounts (user_id, phone, nickname, dialect, client) values ($1, $2, '', '', '')",
            new_user_id(),
            new,
        )
        racing = asyncio.create_task(refusal(auth.call(CHANGE_PHONE, changing(auth, made, new))))
        await auth.wait_for_locks(1)

    assert await racing is ErrorCode.NUMBER_TAKEN
    assert new[1:] not in servers.servers.postgres.process.logs()


async def test_a_registration_waits_for_a_change_to_its_number(auth: Auth, servers: Stack) -> None:
    made, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()
    async with auth.database.acquire() as other, other.transaction():  # the change waits with its number reserved
        await other.execute("select from accounts where user_id = $1 for update", made.account.user_id)
        change = asyncio.create_task(auth.call(CHANGE_PHONE, changing(auth, made, new)))
        await auth.wait_for_locks(1)
        racing = asyncio.create_task(refusal(auth.register(new, fresh_secret())))
        await auth.wait_for_locks(2)

    assert (await change).phone == new
    assert await racing is ErrorCode.NUMBER_TAKEN
    assert new[1:] not in servers.servers.postgres.process.logs()


async def test_a_taken_number_is_refused_and_spends_no_ticket(auth: Auth) -> None:
    taken = fresh_number()
    await auth.register(taken, fresh_secret())
    made = await auth.register(fresh_number(), fresh_secret())
    old_ticket = auth.ticket(E164(made.account.phone), CHANGE)

    refused = changing(auth, made, taken, old_ticket=old_ticket)
    assert await refusal(auth.call(CHANGE_PHONE, refused)) is ErrorCode.NUMBER_TAKEN
    assert (await auth.call(CHANGE_PHONE, changing(auth, made, fresh_number(), old_ticket=old_ticket))).version == 2


async def test_the_present_number_is_refused_as_taken(auth: Auth) -> None:
    made = await auth.register(fresh_number(), fresh_secret())

    request = changing(auth, made, E164(made.account.phone))

    assert await refusal(auth.call(CHANGE_PHONE, request)) is ErrorCode.NUMBER_TAKEN


async def test_both_tickets_are_verified(auth: Auth) -> None:
    made, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()
    old = E164(made.account.phone)
    for more in (
        {"old_ticket": auth.ticket(fresh_number(), CHANGE)},
        {"old_ticket": auth.ticket(old, Purpose.RESET_PASSWORD)},
        {"old_ticket": auth.ticket(old, CHANGE, left=timedelta(0))},
        {"new_ticket": auth.ticket(new, Purpose.SIGN_UP)},
        {"new_ticket": auth.ticket(new, CHANGE, left=timedelta(0))},
        {"new_ticket": "nothing"},
    ):
        request = changing(auth, made, new, **more)
        assert await refusal(auth.call(CHANGE_PHONE, request)) is ErrorCode.CODE_REFUSED

    refused = "select count(*) from audit_log where user_id = $1 and action = 'change_phone.refused'"
    assert await auth.database.fetchval(refused, made.account.user_id) == 1  # the genuine tickets of another number
    assert (await auth.call(CHANGE_PHONE, changing(auth, made, new))).phone == new


async def test_a_ticket_spent_on_one_change_is_refused_for_another(auth: Auth) -> None:
    made, new = await auth.register(fresh_number(), fresh_secret()), fresh_number()
    request = changing(auth, made, new)
    await auth.call(CHANGE_PHONE, request)

    back = request.model_copy(update={"old_ticket": request.new_ticket, "new_ticket": request.old_ticket})
    elsewhere = request.model_copy(update={"new_ticket": auth.ticket(fresh_number(), CHANGE)})

    for spent in (elsewhere, back):
        assert await refusal(auth.call(CHANGE_PHONE, spent)) is ErrorCode.CODE_REFUSED


async def test_the_verification_of_the_old_number_is_found_by_the_ticket_of_the_new_one(auth: Auth) -> None:
    made, new, old_id = await auth.register(fresh_number(), fresh_secret()), fresh_number(), uuid4()
    old_ticket = auth.ticket(E164(made.account.phone), CHANGE, verification_id=old_id)
    request = changing(auth, made, new, old_ticket=old_ticket)
    asked = FindChange(user_id=made.account.user_id, new_ticket=request.new_ticket)

    assert (await auth.call(FIND_CHANGE, asked)).old_verification_id is None
    await auth.call(CHANGE_PHONE, request)

    assert (await auth.call(FIND_CHANGE, asked)).old_verification_id == old_id
    stranger = FindChange(user_id=made.account.user_id + 1, new_ticket=request.new_ticket)
    assert (await auth.call(FIND_CHANGE, stranger)).old_verification_id is None
