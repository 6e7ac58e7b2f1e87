"""What a user gets of their own data, on a real PostgreSQL: who gets it, and whose rows are in it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.auth import (
    Auth,
    command,
    exporting,
    fresh_number,
    fresh_secret,
    refusal,
    registration,
    serving,
    settings_for,
)
from support.patience import until_accepted

from auth_service.personal_data.personal_data import WEIGHT
from shared.errors import ErrorCode, ServiceError
from shared.events.envelope import new_id
from shared.internal_api.auth import CHANGE_PROFILE, REGISTER, Account, ChangeProfile
from shared.internal_api.personal_data.account import (
    EXPORT_ME,
    LIST_ACTIVITY,
    ActivityRow,
    ListActivity,
    PersonalAccount,
)
from shared.internal_api.personal_data.pages import PAGE_ROWS
from shared.internal_api.sms import Purpose
from shared.phone import E164
from shared.tickets import FRESH, LIFETIME

ADD_ROWS = """
    insert into audit_log (id, at, action, user_id, phone_ref)
    select gen_random_uuid(), now() - make_interval(secs => n / 3), 'test.added', $1, $2 from generate_series(1, $3::int) n
"""
ADD_ROW = "insert into audit_log (id, at, action, user_id, phone_ref) values ($1, $2, $3, $4, $5)"


async def export(auth: Auth, account: Account, **proof: Any) -> PersonalAccount:
    exported: PersonalAccount = await until_accepted(lambda: auth.call(EXPORT_ME, exporting(account, **proof)))
    return exported


async def activity(auth: Auth, exported: PersonalAccount) -> list[ActivityRow]:
    """All rows, page by page."""
    rows: list[ActivityRow] = []
    after = None
    while True:
        request = ListActivity(
            user_id=exported.account.user_id, phone=exported.account.phone, number_since=exported.number_since,
            until=exported.exported_at, after=after,
        )  # fmt: skip
        page = await auth.call(LIST_ACTIVITY, request)
        rows += page.rows
        if page.next is None:
            return rows
        assert len(page.rows) == PAGE_ROWS
        after = page.next


async def test_a_session_alone_gets_nothing(auth: Auth) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    assert await refusal(auth.call(EXPORT_ME, exporting(user.account))) is ErrorCode.PROOF_REQUIRED


async def test_the_password_or_a_ticket_for_it_gets_the_account(auth: Auth) -> None:
    secret, number = fresh_secret(), fresh_number()
    user = await auth.register(number, secret)

    for proof in ({"secret": secret}, {"ticket": auth.ticket(number, Purpose.EXPORT)}):
        exported = await export(auth, user.account, **proof)

    assert exported.account == user.account
    assert (exported.has_password, exported.is_imported, exported.registered_with, exported.registered_by) == (
        True, False, "maitian", "test",
    )  # fmt: skip
    assert [each.session_id for each in exported.sessions] == [user.session_id]
    assert exported.known_networks == 1


async def test_a_user_without_a_password_is_told_so_and_gets_their_data_with_a_ticket(auth: Auth) -> None:
    number = fresh_number()
    user = await auth.call(REGISTER, registration(auth.ticket(number), None))

    assert not (await export(auth, user.account, ticket=auth.ticket(number, Purpose.EXPORT))).has_password


@pytest.mark.parametrize(
    ("purpose", "age"),
    [(Purpose.ERASE, 0), (Purpose.SIGN_IN, 0), (Purpose.EXPORT, 301)],
    ids=["erase", "sign_in", "old"],
)
async def test_a_ticket_for_something_else_or_of_earlier_is_refused(auth: Auth, purpose: Purpose, age: int) -> None:
    number = fresh_number()
    user = await auth.register(number, fresh_secret())
    ticket = auth.ticket(number, purpose, left=LIFETIME - timedelta(seconds=age))

    assert timedelta(seconds=300) == FRESH
    assert await refusal(auth.call(EXPORT_ME, exporting(user.account, ticket=ticket))) is ErrorCode.CODE_REFUSED


async def test_a_ticket_of_another_number_and_the_password_of_another_user_are_refused(auth: Auth) -> None:
    other_number, secret = fresh_number(), fresh_secret()
    user = await auth.register(fresh_number(), fresh_secret())
    other = await auth.register(other_number, secret)

    ticket = exporting(user.account, ticket=auth.ticket(other_number, Purpose.EXPORT))
    assert await refusal(auth.call(EXPORT_ME, ticket)) is ErrorCode.CODE_REFUSED
    password = exporting(user.account, secret=secret, phone=other.account.phone)
    assert await refusal(auth.call(EXPORT_ME, password)) is ErrorCode.CREDENTIALS_REFUSED


async def test_what_was_done_is_in_the_audit_log_and_in_the_copy_itself(auth: Auth) -> None:
    secret, number = fresh_secret(), fresh_number()
    user = await auth.register(number, secret)
    await refusal(auth.log_in_once(number, fresh_secret()))
    await refusal(auth.call(EXPORT_ME, exporting(user.account, secret=fresh_secret())))
    await auth.call(CHANGE_PROFILE, ChangeProfile(user_id=user.account.user_id, motto="hello"))

    exported = await export(auth, user.account, secret=secret)
    rows = await activity(auth, exported)

    assert [row.action for row in rows] == [
        "register.succeeded", "log_in_with_password.refused", "export.refused", "change_profile.succeeded",
        "export.succeeded",
    ]  # fmt: skip
    assert rows[0].session_id == user.session_id
    assert (rows[0].dialect, rows[0].client, rows[0].by_operator) == ("maitian", "test", False)
    assert rows[-1].network.startswith("2001:db8:")


async def test_rows_of_who_had_the_number_before_are_not_in_the_copy(auth: Auth) -> None:
    secret, number = fresh_secret(), fresh_number()
    long_ago = datetime.now(UTC) - timedelta(days=3)
    ref = auth.phones.ref(E164(number))
    await auth.database.execute(ADD_ROW, new_id(), long_ago, "log_in_with_password.refused", None, ref)
    await auth.database.execute(ADD_ROW, new_id(), long_ago, "log_in_with_password.succeeded", 4711, ref)
    user = await auth.register(number, secret)

    rows = await activity(auth, await export(auth, user.account, secret=secret))

    assert [row.action for row in rows] == ["register.succeeded", "export.succeeded"]


async def test_rows_of_who_had_the_number_before_a_restore_are_not_in_the_copy(auth: Auth) -> None:
    secret, number, restored_to = fresh_secret(), fresh_number(), fresh_number()
    ref, why = auth.phones.ref(E164(restored_to)), ("--by", "ada", "--reason", "a call")
    user = await auth.register(number, secret)
    await auth.database.execute(ADD_ROW, new_id(), datetime.now(UTC), "log_in_with_password.refused", None, ref)
    assert (await command(auth, "accounts", "release", number, *why))[0] == 0
    assert (await command(auth, "accounts", "restore", str(user.account.user_id), restored_to, *why))[0] == 0
    account = (await auth.log_in(restored_to, secret)).account

    rows = await activity(auth, await export(auth, account, secret=secret))

    assert {"register.succeeded", "account.restored"} <= {row.action for row in rows}
    assert "log_in_with_password.refused" not in {row.action for row in rows}


async def test_a_long_list_comes_in_pages_with_every_row_once_and_in_order(auth: Auth) -> None:
    secret, number = fresh_secret(), fresh_number()
    user = await auth.register(number, secret)
    ref, of_user, of_number = auth.phones.ref(E164(number)), PAGE_ROWS + 700, PAGE_ROWS + 300
    await auth.database.execute(ADD_ROWS, user.account.user_id, ref, of_user)
    await auth.database.execute(ADD_ROWS, None, ref, of_number)
    exported = await export(auth, user.account, secret=secret)
    since = exported.model_copy(update={"number_since": exported.exported_at - timedelta(days=1)})

    rows = await activity(auth, since)

    assert len([row for row in rows if row.action == "test.added"]) == of_user + of_number
    assert [row.at for row in rows] == sorted(row.at for row in rows)


async def test_a_banned_user_gets_nothing_by_a_session_that_is_about_to_end(auth: Auth) -> None:
    secret = fresh_secret()
    user = await auth.register(fresh_number(), secret)
    await auth.database.execute("update accounts set banned_at = now() where user_id = $1", user.account.user_id)
    assert await refusal(auth.call(EXPORT_ME, exporting(user.account, secret=secret))) is ErrorCode.UNAUTHENTICATED


async def test_few_copies_an_hour_are_allowed(auth: Auth) -> None:
    secret = fresh_secret()
    user = await auth.register(fresh_number(), secret)
    settings = settings_for(
        auth.settings.postgres_url, auth.settings.amqp_url, auth.settings.auth_database, caller_limits="on",
        caller_changes_per_user_hour=2 * WEIGHT,
    )  # fmt: skip
    async with serving(settings) as client:
        for _ in range(2):
            await until_accepted(lambda: client.call(EXPORT_ME, exporting(user.account, secret=secret)))
        with pytest.raises(ServiceError) as limited:
            await client.call(EXPORT_ME, exporting(user.account, secret=secret))

    assert limited.value.code is ErrorCode.CALLER_LIMIT
    assert 1_700 <= (limited.value.retry_after or 0) <= 1_800
