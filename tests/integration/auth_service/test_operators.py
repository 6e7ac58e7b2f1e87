"""What operators do with accounts: find, ban until a time, end sessions, erase, export, each with who and why."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from support.auth import Auth, command, fresh_address, fresh_number, fresh_secret, refusal

from auth_service.lifecycle.bans import Bans
from auth_service.lifecycle.bans_store import BansStore
from shared.errors import ErrorCode
from shared.internal_api.auth import CHANGE_PROFILE, ChangeProfile, LoggedIn
from shared.internal_api.operators.accounts import (
    BAN_ACCOUNT,
    END_ACCOUNT_SESSIONS,
    ERASE_ACCOUNT,
    EXPORT_ACCOUNT,
    FIND_ACCOUNT,
    LIFT_LOGIN_LIMITS,
    LIST_AUDIT,
    RECORD_REQUEST,
    UNBAN_ACCOUNT,
    BanAccount,
    EndAccountSessions,
    EraseAccount,
    ExportAccount,
    FindAccount,
    LiftLoginLimits,
    ListAudit,
    RecordRequest,
    UnbanAccount,
)
from shared.phone import E164, mask
from shared.postgres import pool

WHO: dict[str, Any] = {"operator": "ada", "reason": "ticket 4711"}


async def registered(auth: Auth) -> tuple[E164, str, LoggedIn]:
    number, secret = fresh_number(), fresh_secret()
    return number, secret, await auth.register(number, secret)


async def living(auth: Auth, user: LoggedIn) -> set[UUID]:
    """The sessions of a user."""
    found = await auth.call(FIND_ACCOUNT, FindAccount(**WHO, user_id=user.account.user_id))
    return {session.session_id for session in found.sessions}


async def rows(auth: Auth, user_id: int) -> list[tuple[str, str, str]]:
    """The actions in the audit log about a user, with who acted and why."""
    found = await auth.database.fetch(
        "select action, actor, reason from audit_log where user_id = $1 order by at, id", user_id
    )
    return [tuple(row) for row in found]


async def test_an_account_is_found_by_number_id_session_and_verification(auth: Auth) -> None:
    number, secret, user = await registered(auth)
    await auth.log_in(number, secret)
    spent = await auth.database.fetchval(
        "select verification_id from spent_tickets where user_id = $1", user.account.user_id
    )
    for name in (
        {"phone": number[3:]},
        {"user_id": user.account.user_id},
        {"session_id": user.session_id},
        {"verification_id": spent},
    ):
        found = await auth.call(FIND_ACCOUNT, FindAccount(**WHO, **name, sees_numbers=True))
        assert (found.user_id, found.phone, len(found.sessions)) == (user.account.user_id, number, 2)
        assert user.session_id in {session.session_id for session in found.sessions}


@pytest.mark.parametrize("user_id", [0, -1, 2**47 + 1, 2**63, -(2**80), 2**80])
async def test_an_unknown_user_is_not_found(auth: Auth, user_id: int) -> None:
    for endpoint, request in (
        (FIND_ACCOUNT, FindAccount),
        (BAN_ACCOUNT, BanAccount),
        (UNBAN_ACCOUNT, UnbanAccount),
        (END_ACCOUNT_SESSIONS, EndAccountSessions),
        (ERASE_ACCOUNT, EraseAccount),
        (EXPORT_ACCOUNT, ExportAccount),
    ):
        assert await refusal(auth.call(endpoint, request(**WHO, user_id=user_id))) is ErrorCode.NOT_FOUND


async def test_without_the_right_to_see_numbers_the_number_and_texts_with_numbers_are_masked(auth: Auth) -> None:
    number, _, user = await registered(auth)
    await auth.call(
        CHANGE_PROFILE, ChangeProfile(user_id=user.account.user_id, nickname=f"call {number[3:6]} {number[6:]}")
    )
    await auth.database.execute(
        "update accounts set client = $1, name = $2 where user_id = $3", f"app {number}", number[1:],
        user.account.user_id,
    )  # fmt: skip
    await auth.database.execute("update sessions set client = $1 where session_id = $2", number[3:], user.session_id)

    found = await auth.call(FIND_ACCOUNT, FindAccount(**WHO, phone=number))

    assert found.phone == mask(number)
    assert (found.nickname, found.name, found.client) == ("call ****", "****", "app +****")
    assert found.sessions[0].client == "****"
    assert number[3:] not in found.model_dump_json()


async def test_a_ban_has_an_end_and_ends_by_itself(auth: Auth) -> None:
    number, secret, user = await registered(auth)
    user_id, until = user.account.user_id, datetime.now(UTC) + timedelta(days=1)

    banned = await auth.call(BAN_ACCOUNT, BanAccount(**WHO, phone=number, until=until))
    again = await auth.call(BAN_ACCOUNT, BanAccount(**WHO, phone=number, until=until))
    longer = await auth.call(BAN_ACCOUNT, BanAccount(**WHO, phone=number, until=until + timedelta(days=1)))

    assert [(each.changed, each.sessions_ended) for each in (banned, again, longer)] == [
        (True, 1),
        (False, 0),
        (True, 0),
    ]
    found = await auth.call(FIND_ACCOUNT, FindAccount(**WHO, user_id=user_id))
    assert found.banned_until == until + timedelta(days=1)
    async with pool(auth.settings.postgres_url, auth.settings.auth_database, size=1) as own:
        bans = Bans(BansStore(own), auth.phones)
        await bans.lift_ended()
        assert await refusal(auth.log_in(number, secret)) is ErrorCode.ACCOUNT_BANNED
        await auth.database.execute("update accounts set banned_until = now() where user_id = $1", user_id)
        await bans.lift_ended()
    assert (await auth.log_in(number, secret)).account.banned_at is None
    events = await auth.listener.of_user(user_id, 1, "auth.ban.lifted")
    assert len(events) == 1
    recorded = [row for row in await rows(auth, user_id) if row[0].startswith("account.")]
    assert recorded == [("account.banned", "ada", "ticket 4711")] * 2 + [("account.unbanned", "", "")]


async def test_an_operator_lifts_a_ban_before_its_end(auth: Auth) -> None:
    number, secret, user = await registered(auth)
    until = datetime.now(UTC) + timedelta(days=1)
    await auth.call(BAN_ACCOUNT, BanAccount(**WHO, phone=number, until=until))

    lifted = [await auth.call(UNBAN_ACCOUNT, UnbanAccount(**WHO, phone=number)) for _ in range(2)]

    assert [each.changed for each in lifted] == [True, False]
    assert (await auth.log_in(number, secret)).account.user_id == user.account.user_id


async def test_an_operator_ends_one_session_or_all_and_the_trail_says_who(auth: Auth) -> None:
    number, secret, user = await registered(auth)
    other, third = await auth.log_in(number, secret), await auth.log_in(number, secret)

    one = await auth.call(END_ACCOUNT_SESSIONS, EndAccountSessions(**WHO, session_id=other.session_id))

    assert (one.user_id, one.sessions_ended) == (user.account.user_id, 1)
    assert await living(auth, user) == {user.session_id, third.session_id}
    assert await auth.has_ended(other.token)
    rest = await auth.call(END_ACCOUNT_SESSIONS, EndAccountSessions(**WHO, user_id=user.account.user_id))
    assert rest.sessions_ended == 2
    assert await living(auth, user) == set()
    assert [await auth.has_ended(each.token) for each in (user, third)] == [True, True]
    known = "select count(*) from known_networks where user_id = $1"
    assert await auth.database.fetchval(known, user.account.user_id) == 0
    revoked = await auth.listener.of_user(user.account.user_id, 3, "auth.session.revoked")
    assert {event["data"]["cause"] for event in revoked} == {"ended_by_operator"}
    ended = [row for row in await rows(auth, user.account.user_id) if row[0] == "session.ended"]
    assert [actor for _, actor, _ in ended] == ["ada"] * 3


async def test_an_operator_erases_an_account_and_only_who_and_why_stays(auth: Auth) -> None:
    number, _, user = await registered(auth)
    await auth.call(RECORD_REQUEST, RecordRequest(**WHO, action="operator.erase", phone=number))

    erased = await auth.call(ERASE_ACCOUNT, EraseAccount(**WHO, phone=number))

    assert (erased.changed, erased.sessions_ended) == (True, 1)
    assert await refusal(auth.call(FIND_ACCOUNT, FindAccount(**WHO, phone=number))) is ErrorCode.NOT_FOUND
    assert await rows(auth, user.account.user_id) == []
    assert await auth.actions(number) == []
    kept = await auth.database.fetchval(
        "select count(*) from audit_log where action = 'erase.succeeded' and actor = 'ada' and reason = 'ticket 4711'"
    )
    assert kept >= 1


async def test_an_operator_finds_and_erases_an_account_whose_number_someone_else_has_now(auth: Auth) -> None:
    number, _, old = await registered(auth)
    await auth.unseen(number, 60)
    new = await auth.register(number, fresh_secret())
    user_id = old.account.user_id

    found = await auth.call(FIND_ACCOUNT, FindAccount(**WHO, user_id=user_id))
    erased = await auth.call(ERASE_ACCOUNT, EraseAccount(**WHO, user_id=user_id))

    assert (found.user_id, found.phone, found.retired_at is None) == (user_id, None, False)
    assert (erased.user_id, erased.changed, erased.sessions_ended) == (user_id, True, 0)
    assert await refusal(auth.call(FIND_ACCOUNT, FindAccount(**WHO, user_id=user_id))) is ErrorCode.NOT_FOUND
    assert await rows(auth, user_id) == []
    assert await auth.session_of(new.token)
    assert await auth.actions(number) == ["register.succeeded"]
    (event,) = await auth.listener.of_user(user_id, 1, "auth.user.deleted.v1")
    assert (event["version"], event["data"]["phone_ref"], event["data"]["phone_masked"]) == (3, "", "")


async def test_the_command_erases_a_retired_account_once(auth: Auth) -> None:
    number, _, user = await registered(auth)
    who = ("--by", "ada", "--reason", "ticket 4711")
    await command(auth, "accounts", "release", number, *who)

    outcomes = [await command(auth, "erase", str(user.account.user_id), *who) for _ in range(2)]

    assert [status for status, _ in outcomes] == [0, 1]
    assert f"there is no user {user.account.user_id}" in outcomes[1][1]


async def test_an_export_has_the_account_its_sessions_and_its_trail_but_no_secret(auth: Auth) -> None:
    number, _, user = await registered(auth)
    await auth.call(RECORD_REQUEST, RecordRequest(**WHO, action="operator.export", user_id=user.account.user_id))

    exported = await auth.call(EXPORT_ACCOUNT, ExportAccount(**WHO, phone=number, sees_numbers=True))

    assert (exported.account.phone, exported.registered_with) == (number, "maitian/test")
    assert [session.session_id for session in exported.sessions] == [user.session_id]
    assert exported.known_networks == 1
    assert [row.action for row in exported.audit] == ["register.succeeded", "operator.export"]
    text = exported.model_dump_json()
    stored = await auth.database.fetchval("select password_hash from accounts where phone = $1", number)
    assert [secret for secret in (stored, user.token, "ada", "ticket 4711") if secret in text] == []


async def test_an_export_of_a_retired_account_has_what_is_kept_of_it(auth: Auth) -> None:
    number, _, user = await registered(auth)
    user_id = user.account.user_id
    await command(auth, "accounts", "release", number, "--by", "ada", "--reason", "ticket 4711")

    exported = await auth.call(EXPORT_ACCOUNT, ExportAccount(**WHO, user_id=user_id, sees_numbers=True))

    assert exported.account.model_dump(exclude={"phone", "updated_at", "version"}) == user.account.model_dump(
        exclude={"phone", "updated_at", "version"}
    )
    assert (exported.account.phone, exported.sessions, exported.known_networks) == (None, [], 0)
    assert exported.retired_at is not None
    assert {row.action for row in exported.audit} == {"register.succeeded", "session.ended", "account.retired"}
    assert number not in exported.model_dump_json()


async def test_what_an_operator_asks_is_in_the_audit_log_with_who_and_why(auth: Auth) -> None:
    number = fresh_number()
    await auth.call(RECORD_REQUEST, RecordRequest(**WHO, action="operator.find", detail="x=1", phone=number))
    (row,) = await auth.database.fetch(
        "select action, actor, reason, detail, client from audit_log where phone_ref = $1", auth.phones.ref(number)
    )
    assert tuple(row) == ("operator.find", "ada", "ticket 4711", "x=1", "operator")


async def test_a_locked_number_logs_in_at_once_after_its_limits_are_lifted(auth: Auth) -> None:
    number, secret, _ = await registered(auth)
    address = fresh_address()
    for _ in range(auth.settings.caller_failed_logins_per_number):
        assert await refusal(auth.log_in(number, fresh_secret(), address)) is ErrorCode.CREDENTIALS_REFUSED
    assert await refusal(auth.log_in(number, secret, address)) is ErrorCode.CALLER_LIMIT

    lifted = [await auth.call(LIFT_LOGIN_LIMITS, LiftLoginLimits(**WHO, phone=number)) for _ in range(2)]

    assert lifted[0].counters >= 2
    assert lifted[1].counters == 0
    assert (await auth.log_in(number, secret, address)).account.phone == number


async def test_the_trail_is_listed_by_number_user_and_operator_without_a_clear_number(auth: Auth) -> None:
    number, _, user = await registered(auth)
    user_id = user.account.user_id
    record = RecordRequest(operator="grace", reason="ticket 1", action="operator.find", user_id=user_id, phone=number)
    await auth.call(RECORD_REQUEST, record)

    by_number = await auth.call(LIST_AUDIT, ListAudit(**WHO, phone=number))
    by_user = await auth.call(LIST_AUDIT, ListAudit(**WHO, user_id=user_id))
    by_grace = await auth.call(LIST_AUDIT, ListAudit(**WHO, by="grace", user_id=user_id))

    assert [row.action for row in by_number.rows] == ["register.succeeded", "operator.find"]
    assert by_user.rows == by_number.rows
    assert [(row.by, row.reason, row.number) for row in by_grace.rows] == [("grace", "ticket 1", mask(number))]
    assert not by_number.has_more
    assert number[3:] not in by_number.model_dump_json()
