"""The audit log of auth-service: a row for every decision, and the commands that verify and show it."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from support.auth import (
    HOME,
    OPERATOR,
    Auth,
    code_login,
    command,
    fresh_number,
    fresh_secret,
    password_change,
    password_reset,
    refusal,
    registration,
)
from support.database import change_audit_rows
from support.login_limits import LIMITS, fill

from auth_service import audit_store
from auth_service.audit import AUDIT_LOG, AuditEntry
from auth_service.audit_store import AuditStore
from auth_service.client_context import OPERATOR as OPERATOR_CLIENT
from auth_service.client_context import ClientContext
from auth_service.lifecycle.bans import Bans
from auth_service.lifecycle.bans_store import BansStore
from shared import postgres
from shared.audit.chain import Chain
from shared.audit.sealing import Sealer
from shared.audit.store import ChainStore
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PHONE,
    CHANGE_PROFILE,
    END_OTHERS,
    END_SESSION,
    ERASE,
    GRANT,
    LOG_IN_WITH_CODE,
    LOG_IN_WITH_PASSWORD,
    REFRESH,
    REGISTER,
    RESET_PASSWORD,
    ChangePhone,
    ChangeProfile,
    EndOthers,
    EndSession,
    Erase,
    Grant,
    LoggedIn,
    LogInWithPassword,
    Refresh,
)
from shared.internal_api.sms import Purpose
from shared.keys import KeyRing
from shared.phone import E164, mask


class Person:
    """A registered user with everything that a decision needs."""

    def __init__(self, auth: Auth, number: E164, secret: str, session: LoggedIn) -> None:
        self.auth, self.number, self.secret, self.session = auth, number, secret, session
        self.user_id = session.account.user_id

    def ticket(self, purpose: Purpose) -> str:
        return self.auth.ticket(self.number, purpose)

    def log_in(self, secret: str) -> Awaitable[LoggedIn]:
        request = LogInWithPassword(
            phone=self.number, secret=secret, address="203.0.113.9", dialect="native", client="ios"
        )
        return self.auth.call(LOG_IN_WITH_PASSWORD, request)

    def phone_change(self, new: E164, old_ticket: str | None = None) -> ChangePhone:
        return ChangePhone(
            user_id=self.user_id,
            session_id=self.session.session_id,
            old_ticket=old_ticket or self.ticket(Purpose.CHANGE_PHONE),
            new_ticket=self.auth.ticket(new, Purpose.CHANGE_PHONE),
            address=HOME,
            dialect="native",
        )


@pytest.fixture
async def person(auth: Auth) -> Person:
    number, secret = fresh_number(), fresh_secret()
    return Person(auth, number, secret, await auth.register(number, secret))


async def rows(auth: Auth, since: datetime) -> list[tuple[str, str]]:
    """The actions and details of the rows since then, in order."""
    found = await auth.database.fetch("select action, detail from audit_log where at > $1 order by at, id", since)
    return [tuple(row) for row in found]


async def now(auth: Auth) -> datetime:
    moment: datetime = await auth.database.fetchval("select clock_timestamp()")
    return moment


async def banned(person: Person) -> None:
    async with postgres.pool(person.auth.settings.postgres_url, person.auth.settings.auth_database) as pool:
        await Bans(BansStore(pool), person.auth.phones).ban(person.user_id, OPERATOR)


async def unbanned(person: Person) -> None:
    await banned(person)
    async with postgres.pool(person.auth.settings.postgres_url, person.auth.settings.auth_database) as pool:
        await Bans(BansStore(pool), person.auth.phones).unban(person.user_id, OPERATOR)


async def refreshed(person: Person) -> None:
    granted = await person.auth.call(GRANT, Grant(token=person.session.token))
    await person.auth.call(REFRESH, Refresh(refresh_token=granted.refresh_token, address="203.0.113.9"))
    await person.auth.call(REFRESH, Refresh(refresh_token=granted.refresh_token, address="203.0.113.9"))


async def reused(person: Person) -> None:
    auth = person.auth
    first = (await auth.call(GRANT, Grant(token=person.session.token))).refresh_token
    second = (await auth.call(REFRESH, Refresh(refresh_token=first))).refresh_token
    await auth.call(REFRESH, Refresh(refresh_token=second))
    await auth.database.execute("update refresh_tokens set spent_at = spent_at - interval '31 seconds'")
    assert await refusal(auth.call(REFRESH, Refresh(refresh_token=first))) is ErrorCode.UNAUTHENTICATED


async def erased(person: Person) -> None:
    request = Erase(user_id=person.user_id, phone=person.number, secret=person.secret, address=HOME, dialect="native")
    await person.auth.call(ERASE, request)


async def signed_in(person: Person) -> None:
    await person.auth.call(LOG_IN_WITH_CODE, code_login(person.ticket(Purpose.SIGN_IN)))


async def reset(person: Person) -> None:
    await person.auth.call(RESET_PASSWORD, password_reset(person.ticket(Purpose.RESET_PASSWORD), fresh_secret()))


async def password_changed(person: Person) -> None:
    await person.auth.call(CHANGE_PASSWORD, password_change(person.session, person.secret, fresh_secret()))


async def password_not_changed(person: Person) -> None:
    wrong = password_change(person.session, fresh_secret(), fresh_secret())
    assert await refusal(person.auth.call(CHANGE_PASSWORD, wrong)) is ErrorCode.CREDENTIALS_REFUSED


async def phone_changed(person: Person) -> None:
    await person.auth.call(CHANGE_PHONE, person.phone_change(fresh_number()))


async def phone_not_changed(person: Person) -> None:
    other = person.auth.ticket(fresh_number(), Purpose.CHANGE_PHONE)
    assert await refusal(person.auth.call(CHANGE_PHONE, person.phone_change(fresh_number(), other)))
    assert await refusal(person.auth.call(CHANGE_PHONE, person.phone_change(fresh_number(), "forged")))


async def profile_changed(person: Person) -> None:
    changes = ChangeProfile(user_id=person.user_id, discoverable=False, nickname="Ada")
    await person.auth.call(CHANGE_PROFILE, changes)


async def profile_not_changed(person: Person) -> None:
    assert await refusal(person.auth.call(CHANGE_PROFILE, ChangeProfile(user_id=2**47 + 5, motto="x")))


async def one_session_ended(person: Person) -> None:
    await person.auth.call(END_SESSION, EndSession(user_id=person.user_id, session_id=person.session.session_id))


async def others_ended(person: Person) -> None:
    await person.auth.call(END_OTHERS, EndOthers(user_id=person.user_id, session_id=uuid4()))


async def logged_in(person: Person) -> None:
    await person.log_in(person.secret)


async def not_logged_in(person: Person) -> None:
    assert await refusal(person.log_in(fresh_secret())) is ErrorCode.CREDENTIALS_REFUSED


async def log_in_limited(person: Person) -> None:
    await fill(person.auth, "203.0.113.9", person.number, LIMITS.failures_per_number)
    try:
        assert await refusal(person.log_in(person.secret)) is ErrorCode.CALLER_LIMIT
    finally:
        await person.auth.database.execute("delete from login_limits")


async def log_in_while_banned(person: Person) -> None:
    await banned(person)
    assert await refusal(person.log_in(person.secret)) is ErrorCode.ACCOUNT_BANNED


async def forged_tickets(person: Person) -> None:
    auth = person.auth
    for call, request in (
        (LOG_IN_WITH_CODE, code_login("forged")),
        (REGISTER, registration("forged", fresh_secret())),
        (RESET_PASSWORD, password_reset("forged", fresh_secret())),
    ):
        assert await refusal(auth.call(call, request)) is ErrorCode.CODE_REFUSED


async def dead_ticket(person: Person) -> None:
    ticket = person.ticket(Purpose.SIGN_IN)
    await password_changed(person)
    assert await refusal(person.auth.call(LOG_IN_WITH_CODE, code_login(ticket))) is ErrorCode.CODE_REFUSED


async def number_taken(person: Person) -> None:
    request = registration(person.ticket(Purpose.SIGN_UP), fresh_secret())
    assert await refusal(person.auth.call(REGISTER, request)) is ErrorCode.NUMBER_TAKEN


async def forged_tokens(person: Person) -> None:
    assert await refusal(person.auth.call(REFRESH, Refresh(refresh_token="forged")))
    assert await refusal(person.auth.call(GRANT, Grant(token="forged")))


@pytest.mark.parametrize(("decision", "expected"), [
    (logged_in, [("log_in_with_password.succeeded", "")]),
    (not_logged_in, [("log_in_with_password.refused", "")]),
    (log_in_limited, [("log_in_with_password.limited", "")]),
    (log_in_while_banned, [
        ("account.banned", ""), ("session.ended", "ban"), ("log_in_with_password.banned", ""),
    ]),
    (signed_in, [("log_in_with_code.succeeded", "")]),
    (number_taken, [("register.refused", "number_taken")]),
    (reset, [("reset_password.succeeded", ""), ("session.ended", "reset_password")]),
    (password_changed, [("change_password.succeeded", "")]),
    (password_not_changed, [("change_password.refused", "")]),
    (phone_changed, [("change_phone.succeeded", "")]),
    (phone_not_changed, [("change_phone.refused", "code_refused"), ("change_phone.refused", "unproven")]),
    (profile_changed, [("change_profile.succeeded", "discoverable=false nickname")]),
    (profile_not_changed, [("change_profile.refused", "")]),
    (one_session_ended, [("session.ended", "ended_by_user")]),
    (others_ended, [("session.ended", "ended_by_user")]),
    (refreshed, [("refresh_token.granted", ""), ("refresh_token.used", ""), ("refresh_token.repeated", "")]),
    (reused, [
        ("refresh_token.granted", ""), ("refresh_token.used", ""), ("refresh_token.used", ""),
        ("refresh_token.reused", ""), ("session.ended", "refresh_reuse"),
    ]),
    (forged_tokens, [("refresh_token.refused", ""), ("refresh_token.refused", "grant")]),
    (forged_tickets, [
        ("log_in_with_code.unproven", ""), ("register.unproven", ""), ("reset_password.unproven", ""),
    ]),
    (dead_ticket, [("change_password.succeeded", ""), ("log_in_with_code.refused", "code_refused")]),
    (unbanned, [("account.banned", ""), ("session.ended", "ban"), ("account.unbanned", "")]),
    (erased, [("erase.succeeded", "2"), ("session.ended", "erased")]),
])  # fmt: skip
async def test_every_decision_has_its_row(
    auth: Auth, person: Person, decision: Callable[[Person], Awaitable[None]], expected: list[tuple[str, str]]
) -> None:
    since = await now(auth)
    await decision(person)
    assert sorted(await rows(auth, since)) == sorted(expected)


async def test_a_registration_has_its_row_with_its_session(auth: Auth, person: Person) -> None:
    row = await auth.database.fetchrow("select action, session_id from audit_log where user_id = $1", person.user_id)
    assert tuple(row) == ("register.succeeded", person.session.session_id)


async def test_a_crowded_out_session_has_its_row(auth: Auth, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auth_service.sessions.session_store.MAX_SESSIONS", 1)
    since = await now(auth)
    await person.log_in(person.secret)
    assert sorted(await rows(auth, since)) == [
        ("log_in_with_password.succeeded", ""), ("session.ended", "crowded_out")
    ]  # fmt: skip


async def test_a_refresh_has_the_network_that_it_came_from(auth: Auth, person: Person) -> None:
    await refreshed(person)
    found = await auth.database.fetch(
        "select action, network, session_id from audit_log where user_id = $1 and network = '203.0.113.0/24'",
        person.user_id,
    )
    session_id = person.session.session_id
    assert {tuple(row) for row in found} == {
        (f"refresh_token.{outcome}", "203.0.113.0/24", session_id) for outcome in ("used", "repeated")
    }


async def test_a_flood_of_forged_tokens_leaves_a_bounded_number_of_rows(
    auth: Auth, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_store, "UNPROVEN_PER_MINUTE", 3)
    minute = [0.0]
    since = await now(auth)
    async with postgres.pool(postgres_url, auth.settings.auth_database, size=1) as pool:
        audit = AuditStore(pool, lambda: minute[0])
        for second in (0, 10, 20, 30, 59, 60):
            minute[0] = second
            await audit.record_unproven(AuditEntry("flood", None, OPERATOR_CLIENT))
    assert len(await rows(auth, since)) == 4


async def test_a_flood_of_limited_log_ins_leaves_a_row_a_minute_for_each_number_and_network(
    auth: Auth, postgres_url: str
) -> None:
    minute, since = [0.0], await now(auth)
    home, other = (ClientContext("native", "ios", f"203.0.{n}.0/24") for n in range(2))
    async with postgres.pool(postgres_url, auth.settings.auth_database, size=1) as pool:
        audit = AuditStore(pool, lambda: minute[0])
        for second in (0, 30, 59, 60, 119):
            minute[0] = second
            for phone_ref, context in ((1, home), (1, other), (2, home)):
                for action in ("log_in_with_password.limited", "erase.code_refused"):
                    await audit.record(AuditEntry(action, phone_ref, context))
            await audit.record(AuditEntry("log_in_with_password.refused", 1, home))
    counts = Counter(row[0] for row in await rows(auth, since))
    assert counts == {"log_in_with_password.limited": 6, "erase.code_refused": 6, "log_in_with_password.refused": 5}


async def test_a_flood_of_limited_log_ins_from_ever_new_networks_leaves_a_bounded_number_of_rows(
    auth: Auth, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_store, "SAMPLED_PER_MINUTE", 3)
    since = await now(auth)
    async with postgres.pool(postgres_url, auth.settings.auth_database, size=1) as pool:
        audit = AuditStore(pool, lambda: 0.0)
        for number in range(9):
            await audit.record(AuditEntry("log_in_with_password.limited", number, OPERATOR_CLIENT))
    assert len(await rows(auth, since)) == 3


async def seal(auth: Auth) -> None:
    """Seal everything that is written, as the background job does after ten seconds."""
    chain = Chain(AUDIT_LOG, KeyRing.parse(auth.settings.audit_keys.get_secret_value()))
    async with postgres.pool(auth.settings.postgres_url, auth.settings.auth_database, size=1) as pool:
        for _ in range(3):  # a background job may seal at the same moment, and then this turn ends
            await Sealer(ChainStore(pool, chain)).seal_all(timedelta())


async def test_the_command_shows_the_rows_of_a_number_of_a_user_and_since_a_time(auth: Auth, person: Person) -> None:
    await not_logged_in(person)
    await profile_changed(person)
    await unbanned(person)
    national = person.number[3:]

    status, text = await command(auth, "audit", "show", "--number", national)
    lines = text.splitlines()
    assert status == 0
    assert lines[0].split()[:3] == ["TIME", "(UTC)", "ACTION"]
    assert sorted(line.split()[2] for line in lines[1:]) == [
        "account.banned", "account.unbanned", "change_profile.succeeded", "log_in_with_password.refused",
        "register.succeeded", "session.ended",
    ]  # fmt: skip
    assert all(mask(person.number) in line for line in lines[1:])
    assert "by test: a test" in text
    assert national not in text

    status, text = await command(auth, "audit", "show", "--user", str(person.user_id), "--since", "1h", "--json")
    shown = [json.loads(line) for line in text.splitlines()]
    assert (status, len(shown)) == (0, 6)
    assert {row["user_id"] for row in shown} == {str(person.user_id)}
    assert [row["by"] for row in shown if row["action"] == "account.banned"] == ["test"]
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    _, text = await command(auth, "audit", "show", "--number", national, "--since", later, "--json")
    assert text == ""


async def test_the_command_verifies_and_exits_with_1_at_the_first_changed_row(auth: Auth, person: Person) -> None:
    await not_logged_in(person)
    await seal(auth)
    status, text = await command(auth, "audit", "verify")
    assert (status, "rows are as they were sealed" in text) == (0, True), text
    anchor = text.splitlines()[-1].removeprefix("anchor: ")
    assert (await command(auth, "audit", "verify", "--anchor", anchor))[0] == 0
    number, _, digits = anchor.partition(":")
    status, text = await command(auth, "audit", "verify", "--anchor", f"{int(number) + 1000000}:{digits}")
    assert (status, "cut off" in text) == (1, True)

    changed = await auth.database.fetchval(
        "select id from audit_log where user_id = $1 and action = 'log_in_with_password.refused'", person.user_id
    )
    async with auth.database.acquire() as conn:
        change = "update audit_log set action = $2 where id = $1"
        await change_audit_rows(conn, change, changed, "log_in_with_password.succeeded")
        try:
            status, text = await command(auth, "audit", "verify", "--json")
            assert (status, json.loads(text)["broken"]["row"]) == (1, str(changed))
            status, text = await command(auth, "audit", "verify")
            assert (status, f"BROKEN at row {changed}" in text) == (1, True)
        finally:
            await change_audit_rows(conn, change, changed, "log_in_with_password.refused")
    assert (await command(auth, "audit", "verify"))[0] == 0


async def test_after_an_erasure_the_trail_is_whole_and_shows_no_one(auth: Auth, person: Person) -> None:
    await not_logged_in(person)
    await seal(auth)
    status, text = await command(auth, "erase", str(person.user_id), "--by", "ada", "--reason", "request 4711")
    assert (status, text) == (0, f"user {person.user_id} is erased\n")
    await seal(auth)

    assert (await command(auth, "audit", "verify"))[0] == 0
    _, text = await command(auth, "audit", "show", "--user", str(person.user_id), "--json")
    assert text == ""
    _, text = await command(auth, "audit", "show", "--number", person.number, "--json")
    assert text == ""
    erasures = await auth.database.fetch("select actor, reason, detail from audit_log where actor = 'ada'")
    assert [tuple(row) for row in erasures if row["reason"]] == [("ada", "request 4711", "3")]


@pytest.mark.parametrize("words", [
    ("ban", "150000000000000"), ("ban", "150000000000000", "--by", "ada"),
    ("erase", "150000000000000", "--reason", "x"), ("unban", "150000000000000", "--by", " ", "--reason", "x"),
    ("ban", "150000000000000", "--by", "ada", "--reason", "called from 138 0013 8000"),
])  # fmt: skip
async def test_an_operator_says_who_acts_and_why_and_names_no_number(auth: Auth, words: tuple[str, ...]) -> None:
    status, text = await command(auth, *words)
    assert status == 2
    assert "--by" in text or "--reason" in text
