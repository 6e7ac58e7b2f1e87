"""Sessions of another system on a real PostgreSQL: their tokens work until their end, and what ends them is final."""

import asyncio
import json
import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from support.auth import Auth, command, fresh_address, fresh_number, fresh_secret, password_change, refusal
from support.patience import until_accepted

from auth_service.retention import delete_all_expired
from auth_service.retention_store import RetentionStore
from auth_service.sessions.model import MAX_SESSIONS
from shared import postgres
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    END_OTHERS,
    END_SESSION,
    LIST_SESSIONS,
    REFRESH,
    RESOLVE,
    EndOthers,
    EndSession,
    Granted,
    ListSessions,
    LivingSession,
    Refresh,
    Resolve,
    Resolved,
)
from shared.phone import E164

WORDS = ("--by", "ada", "--reason", "move of the forum")
MD5 = {"format": "md5(p)", "digest": "8743b52063cd84097a65d1633f5c74f5"}
SECRET = MD5["digest"]
"""The canonical password of that digest: it is the md5."""


def fresh_token() -> str:
    """A token that no system of ours makes: 32 hex digits."""
    return secrets.token_hex(16)


def person(*sessions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": secrets.randbelow(2**46) + 1, "phone": fresh_number(), "sessions": list(sessions)} | more


def until(end: timedelta = timedelta(days=90), **more: Any) -> dict[str, Any]:
    """A session with a fresh token and an end of its own."""
    return {"token": fresh_token(), "expires_at": (datetime.now(UTC) + end).isoformat()} | more


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users.ndjson"


async def run(auth: Auth, file: Path, *users: dict[str, Any], words: tuple[str, ...] = ()) -> str:
    """Import the users. Returns the report."""
    file.write_text("".join(json.dumps(user) + "\n" for user in users))
    peppers = auth.settings.password_peppers.get_secret_value()
    _, output = await command(auth, "import", str(file), *WORDS, *words, PASSWORD_PEPPERS=peppers)
    return output


def refused_lines(file: Path) -> list[tuple[int, str]]:
    lines = map(json.loads, file.with_name(f"{file.name}.errors").read_text().splitlines())
    return [(line["line"], line["reason"]) for line in lines]


async def resolved(auth: Auth, session: dict[str, Any]) -> Resolved:
    answer: Resolved = await auth.call(RESOLVE, Resolve(token=session["token"]))
    return answer


async def listed(auth: Auth, user_id: int) -> list[LivingSession]:
    return list((await auth.call(LIST_SESSIONS, ListSessions(user_id=user_id))).sessions)


async def refreshed(auth: Auth, token: str) -> Granted:
    granted: Granted = await until_accepted(lambda: auth.call(REFRESH, Refresh(refresh_token=token)))
    return granted


async def refresh_refused(auth: Auth, token: str) -> bool:
    return await refusal(auth.call(REFRESH, Refresh(refresh_token=token))) is ErrorCode.UNAUTHENTICATED


async def move_to_the_past(auth: Auth, session_id: UUID, past: timedelta) -> None:
    """Let the ends of a session and of its token come nearer."""
    await auth.database.execute(
        "update sessions set expires_at = expires_at - $2::interval, token_ends_at = token_ends_at - $2::interval"
        " where session_id = $1",
        session_id,
        past,
    )


async def ends_of(auth: Auth, session_id: UUID) -> tuple[timedelta, timedelta | None]:
    """How long the session still lives, and its imported token."""
    row = await auth.database.fetchrow(
        "select expires_at - now(), token_ends_at - now() from sessions where session_id = $1", session_id
    )
    return row[0], row[1]


SPELLINGS = {
    "uuid": lambda: str(uuid4()),
    "hex": fresh_token,
    "php": lambda: "".join(secrets.choice("0123456789abcdefghijklmnopqrstuv") for _ in range(26)),
    "base64": lambda: secrets.token_urlsafe(24) + "+/==",
    "jwt": lambda: f"eyJhbGciOiJIUzI1NiJ9.{secrets.token_urlsafe(40)}.{secrets.token_urlsafe(32)}",
    "signed cookie": lambda: f"s:{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(32)}",
    "as ours": lambda: secrets.token_urlsafe(32),
    "long": lambda: secrets.token_urlsafe(3_000)[:4_096],
}


async def test_a_token_of_every_spelling_opens_the_session_of_its_user(auth: Auth, file: Path) -> None:
    users = {name: person(until(token=make())) for name, make in SPELLINGS.items()}
    report = await run(auth, file, *users.values())

    assert f"  new: {len(SPELLINGS)}" in report, report
    for name, user in users.items():
        assert (await resolved(auth, user["sessions"][0])).account.user_id == user["id"], name


async def test_a_token_of_laravel_sanctum_works_from_its_sha256_alone(auth: Auth, file: Path) -> None:
    secret = secrets.token_hex(20)
    user = person({"token_sha256": sha256(secret.encode()).hexdigest()})
    await run(auth, file, user)

    for token in (secret, f"12|{secret}"):
        assert (await resolved(auth, {"token": token})).account.user_id == user["id"]
    assert await auth.has_ended(sha256(secret.encode()).hexdigest())


async def test_a_session_is_listed_with_its_client_and_times_and_has_an_audit_row(auth: Auth, file: Path) -> None:
    opened = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    user = person(until(client="iPhone 9", created_at=opened.isoformat()), until())
    await run(auth, file, user)

    newest, oldest = await listed(auth, user["id"])
    assert (oldest.client, oldest.dialect, oldest.opened_at) == ("iPhone 9", "import", opened)
    assert newest.client == ""
    assert oldest.session_id == (await resolved(auth, user["sessions"][0])).session_id
    rows = await auth.database.fetch(
        "select session_id, client, actor, reason from audit_log where user_id = $1 and action = 'session.imported'",
        user["id"],
    )
    assert {tuple(row) for row in rows} == {
        (each.session_id, each.client, "ada", "move of the forum") for each in (newest, oldest)
    }


async def test_no_table_has_a_token_of_the_file_or_its_sha256(auth: Auth, file: Path) -> None:
    secret = fresh_token()
    sessions = [until(), until(kind="refresh"), {"token_sha256": sha256(secret.encode()).hexdigest()}]
    await run(auth, file, person(*sessions))

    tables = await auth.database.fetch("select tablename from pg_tables where schemaname = 'public'")
    rows = [row[0] for (table,) in tables for row in await auth.database.fetch(f"select t::text from {table} t")]
    for token in (sessions[0]["token"], sessions[1]["token"], secret):
        assert [row for row in rows if token in row or sha256(token.encode()).hexdigest() in row] == []
    assert sum(sessions[0]["token"] in line for line in file.read_text().splitlines()) == 1


async def test_a_token_ends_at_its_end_and_its_use_does_not_prolong_it(auth: Auth, file: Path) -> None:
    user = person(until(timedelta(days=10)))
    await run(auth, file, user)
    session = await resolved(auth, user["sessions"][0])

    assert (await ends_of(auth, session.session_id))[0] < timedelta(days=10)
    await move_to_the_past(auth, session.session_id, timedelta(days=10))

    assert await auth.has_ended(user["sessions"][0]["token"])
    assert await refresh_refused(auth, user["sessions"][0]["token"])
    assert await listed(auth, user["id"]) == []


async def test_a_token_of_ninety_days_lives_without_use_for_all_of_them(auth: Auth, file: Path) -> None:
    user = person(until(timedelta(days=90)))
    await run(auth, file, user)
    session = await resolved(auth, user["sessions"][0])

    await move_to_the_past(auth, session.session_id, timedelta(days=89))

    assert await auth.session_of(user["sessions"][0]["token"]) == session.session_id


async def test_a_token_without_an_end_lives_as_ours_do(auth: Auth, file: Path) -> None:
    user = person({"token": fresh_token()})
    await run(auth, file, user)
    session = await resolved(auth, user["sessions"][0])
    await move_to_the_past(auth, session.session_id, timedelta(days=2))

    await resolved(auth, user["sessions"][0])
    assert (await ends_of(auth, session.session_id))[0] > timedelta(days=29, hours=23)
    await move_to_the_past(auth, session.session_id, timedelta(days=30))

    assert await auth.has_ended(user["sessions"][0]["token"])


async def test_who_uses_an_imported_token_is_seen_once_a_day(auth: Auth, file: Path) -> None:
    """Otherwise the account of someone who uses the app every day would become dormant."""
    user = person(until(), last_seen_at=(datetime.now(UTC) - timedelta(days=50)).isoformat())
    await run(auth, file, user)

    async def last_used() -> datetime | None:
        found: datetime | None = await auth.database.fetchval(
            "select last_used_at from accounts where user_id = $1", user["id"]
        )
        return found

    await resolved(auth, user["sessions"][0])
    first = await last_used()
    await resolved(auth, user["sessions"][0])

    assert first is not None
    assert datetime.now(UTC) - first < timedelta(minutes=1)
    assert await last_used() == first


async def test_expired_sessions_and_those_beyond_a_hundred_are_counted_and_left_out(auth: Auth, file: Path) -> None:
    now = datetime.now(UTC)
    sessions = [until(created_at=(now - timedelta(days=n)).isoformat()) for n in range(MAX_SESSIONS + 2)]
    user = person(*sessions, until(timedelta(seconds=-1)))

    report = await run(auth, file, user, words=("--dry-run",))
    assert await auth.database.fetchval("select count(*) from imported_sessions where user_id = $1", user["id"]) == 0
    assert report.split("sessions:\n")[1] == (await run(auth, file, user)).split("sessions:\n")[1]

    assert report.endswith(f"sessions:\n  new: {MAX_SESSIONS}\n  beyond 100 of one user: 2\n  expired: 1\n")
    assert len(await listed(auth, user["id"])) == MAX_SESSIONS
    assert await auth.has_ended(sessions[-1]["token"])
    assert await auth.session_of(sessions[0]["token"])


async def test_one_session_is_ended_and_the_others_live(auth: Auth, file: Path) -> None:
    user = person(until(), until())
    await run(auth, file, user)
    first, second = user["sessions"]
    ended = await auth.session_of(first["token"])

    await auth.call(END_SESSION, EndSession(user_id=user["id"], session_id=ended))

    assert await auth.has_ended(first["token"])
    assert await refresh_refused(auth, first["token"])
    assert await auth.session_of(second["token"])
    (event,) = await auth.listener.of_user(user["id"], 1, "auth.session.revoked.v1")
    assert (event["data"]["session_id"], event["data"]["cause"]) == (str(ended), "ended_by_user")


async def test_a_session_that_was_ended_does_not_come_back_with_the_file(auth: Auth, file: Path) -> None:
    user = person(until(), until())
    await run(auth, file, user)
    first, second = user["sessions"]
    await auth.call(END_SESSION, EndSession(user_id=user["id"], session_id=await auth.session_of(first["token"])))

    report = await run(auth, file, user)

    assert report.endswith("sessions:\n  imported before: 2\n")
    assert await auth.has_ended(first["token"])
    assert len(await listed(auth, user["id"])) == 1
    assert await auth.session_of(second["token"])


async def test_a_later_file_adds_what_was_opened_since_and_logs_no_one_out(auth: Auth, file: Path) -> None:
    user = person(until())
    await run(auth, file, user)
    kept = await auth.session_of(user["sessions"][0]["token"])
    later = user | {"sessions": [*user["sessions"], until()]}

    report = await run(auth, file, later)

    assert report.endswith("sessions:\n  new: 1\n  imported before: 1\n")
    assert await auth.session_of(user["sessions"][0]["token"]) == kept
    assert (await resolved(auth, later["sessions"][1])).account.user_id == user["id"]
    assert len(await auth.listener.of_user(user["id"], 1, "auth.user.")) == 1


ENDINGS = ["all others", "password", "ban", "import as banned"]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_after_all_sessions_were_ended_no_file_brings_any(auth: Auth, file: Path, ending: str) -> None:
    user = person(until(), until(), password=MD5, banned=ending == "import as banned")
    await run(auth, file, user)
    if ending == "ban":
        assert (await command(auth, "ban", str(user["id"]), "--by", "ada", "--reason", "spam"))[0] == 0
    if "ban" in ending:
        assert (await command(auth, "unban", str(user["id"]), "--by", "ada", "--reason", "spam"))[0] == 0
    else:
        await end_others(auth, user, change_password=ending == "password")

    report = await run(auth, file, user | {"sessions": [*user["sessions"], until()]})

    assert "  of users who were banned or ended all theirs: " in report
    assert "  new: " not in report
    kept, ended = user["sessions"]
    assert await auth.has_ended(ended["token"])
    if "ban" in ending:
        assert await auth.has_ended(kept["token"])
        assert await listed(auth, user["id"]) == []
    else:
        assert [each.session_id for each in await listed(auth, user["id"])] == [await auth.session_of(kept["token"])]


async def end_others(auth: Auth, user: dict[str, Any], *, change_password: bool) -> None:
    """End all sessions but the first one of the file."""
    kept = await resolved(auth, user["sessions"][0])
    if change_password:
        asking = await auth.log_in(E164(kept.account.phone), SECRET)  # only for its account
        change = password_change(asking, SECRET, fresh_secret()).model_copy(update={"session_id": kept.session_id})
        await until_accepted(lambda: auth.call(CHANGE_PASSWORD, change))
    else:
        request = EndOthers(user_id=user["id"], session_id=kept.session_id, address=fresh_address())
        await auth.call(END_OTHERS, request)


async def test_sessions_that_are_imported_while_their_user_ends_all_are_not_there_after_it(
    auth: Auth, file: Path
) -> None:
    """The end of all waits for the import, or the import finds that they ended: whichever locks the account first."""
    user = person(until())
    await run(auth, file, user)
    kept = await auth.session_of(user["sessions"][0]["token"])
    later = user | {"sessions": [*user["sessions"], *(until() for _ in range(20))]}

    await asyncio.gather(
        run(auth, file, later),
        auth.call(END_OTHERS, EndOthers(user_id=user["id"], session_id=kept, address=fresh_address())),
    )
    await run(auth, file, later)

    assert [each.session_id for each in await listed(auth, user["id"])] == [kept]


async def test_the_sessions_of_an_erased_user_end_and_nothing_of_them_stays(auth: Auth, file: Path) -> None:
    user = person(until(), until(kind="refresh"))
    await run(auth, file, user)
    await auth.erase(user["id"])

    report = await run(auth, file, user)

    assert "1 were erased since" in report
    assert await auth.has_ended(user["sessions"][0]["token"])
    assert await refresh_refused(auth, user["sessions"][1]["token"])
    for table in ("sessions", "imported_sessions", "imported_accounts"):
        count = f"select count(*) from {table} where user_id = $1"
        assert await auth.database.fetchval(count, user["id"]) == 0, table


async def test_a_token_of_another_user_is_refused_by_its_line_and_that_user_keeps_it(auth: Auth, file: Path) -> None:
    first = person(until())
    await run(auth, file, first)
    ours = await auth.register(fresh_number(), fresh_secret())

    await run(auth, file, person(first["sessions"][0]), person({"token": ours.token}), person({"token": "100015"}))

    assert refused_lines(file) == [(1, "token_taken"), (2, "token_taken"), (3, "token_guessable")]
    assert (await resolved(auth, first["sessions"][0])).account.user_id == first["id"]
    assert await auth.session_of(ours.token) == ours.session_id
    errors = file.with_name(f"{file.name}.errors").read_text()
    assert first["sessions"][0]["token"] not in errors


async def test_an_old_token_is_exchanged_for_a_pair_of_ours_that_outlives_it(auth: Auth, file: Path) -> None:
    user = person(until(timedelta(days=10)))
    await run(auth, file, user)
    token = user["sessions"][0]["token"]
    session_id = await auth.session_of(token)

    first = await refreshed(auth, token)
    again = await refreshed(auth, token)
    second = await refreshed(auth, first.refresh_token)

    assert first.refresh_token == again.refresh_token
    assert await auth.session_of(second.access_token) == session_id
    assert await auth.session_of(token) == session_id
    expires, token_ends = await ends_of(auth, session_id)
    assert (expires > timedelta(days=29), token_ends is not None and token_ends < timedelta(days=10)) == (True, True)
    await auth.database.execute("update sessions set token_ends_at = now() where session_id = $1", session_id)
    assert await auth.has_ended(token)
    assert await auth.session_of((await refreshed(auth, second.refresh_token)).access_token) == session_id


async def test_an_exchange_does_not_shorten_the_life_of_the_old_token(auth: Auth, file: Path) -> None:
    user = person(until(timedelta(days=90)))
    await run(auth, file, user)
    session_id = await auth.session_of(user["sessions"][0]["token"])

    await refreshed(auth, user["sessions"][0]["token"])

    assert (await ends_of(auth, session_id))[0] > timedelta(days=89)


async def test_an_old_token_that_is_exchanged_after_its_pair_was_used_long_ago_ends_the_session(
    auth: Auth, file: Path
) -> None:
    user = person(until())
    await run(auth, file, user)
    token = user["sessions"][0]["token"]
    pair = await refreshed(auth, (await refreshed(auth, token)).refresh_token)
    await auth.database.execute(
        "update refresh_tokens set spent_at = spent_at - interval '31 seconds' where session_id = $1",
        await auth.session_of(token),
    )

    assert await refresh_refused(auth, token)
    assert await auth.has_ended(token)
    assert await auth.has_ended(pair.access_token)


async def test_a_refresh_token_of_another_system_is_exchanged_and_opens_nothing_by_itself(
    auth: Auth, file: Path
) -> None:
    user = person(until(timedelta(days=10), kind="refresh", client="web"))
    await run(auth, file, user)
    token = user["sessions"][0]["token"]

    assert await auth.has_ended(token)
    granted = await refreshed(auth, token)

    (session,) = await listed(auth, user["id"])
    assert await auth.session_of(granted.access_token) == session.session_id
    assert session.client == "web"
    assert (await ends_of(auth, session.session_id))[0] > timedelta(days=29)


async def test_the_first_use_of_new_tokens_after_a_change_of_password_ends_the_exchange_of_the_old_one(
    auth: Auth, file: Path
) -> None:
    user = person(until(), password=MD5)
    await run(auth, file, user)
    token = user["sessions"][0]["token"]
    kept = await resolved(auth, user["sessions"][0])
    asking = await auth.log_in(E164(kept.account.phone), SECRET)
    change = password_change(asking, SECRET, fresh_secret()).model_copy(update={"session_id": kept.session_id})
    new: Granted = await until_accepted(lambda: auth.call(CHANGE_PASSWORD, change))

    await refreshed(auth, new.refresh_token)

    assert await refresh_refused(auth, token)


async def test_a_token_that_was_ended_stays_dead_when_a_file_of_after_its_end_prolongs_it(
    auth: Auth, file: Path, postgres_url: str
) -> None:
    """Systems whose sessions move their end with each use, such as Django, export the same token with a later one."""
    user = person(until(timedelta(days=7)))
    await run(auth, file, user)
    session = user["sessions"][0]
    session_id = (await resolved(auth, session)).session_id
    await until_accepted(lambda: auth.call(END_SESSION, EndSession(user_id=user["id"], session_id=session_id)))
    await auth.database.execute(
        "update imported_sessions set ends_at = ends_at - interval '8 days' where user_id = $1", user["id"]
    )
    async with postgres.pool(postgres_url, auth.settings.auth_database) as pool:
        await delete_all_expired(RetentionStore(pool))

    await run(auth, file, user | {"sessions": [until(timedelta(days=7), token=session["token"])]})

    assert await refusal(resolved(auth, session)) is ErrorCode.UNAUTHENTICATED
    assert await listed(auth, user["id"]) == []


async def test_marks_are_deleted_a_year_after_the_end_of_their_token_and_others_stay(
    auth: Auth, file: Path, postgres_url: str
) -> None:
    user = person(until(), {"token": fresh_token()})
    await run(auth, file, user)
    await auth.database.execute(
        "update imported_sessions set ends_at = now() - interval '366 days' where user_id = $1 and ends_at is not null",
        user["id"],
    )

    async with postgres.pool(postgres_url, auth.settings.auth_database) as pool:
        await delete_all_expired(RetentionStore(pool))

    count = "select count(*) from imported_sessions where user_id = $1"
    assert await auth.database.fetchval(count, user["id"]) == 1


async def test_two_imports_of_one_file_at_once_add_every_session_once(auth: Auth, file: Path) -> None:
    users = [person(until(), until()) for _ in range(50)]
    copies = [file.with_name(f"copy {n}") for n in range(2)]

    reports = await asyncio.gather(*(run(auth, copy, *users) for copy in copies))

    ids = [user["id"] for user in users]
    count = "select count(*) from sessions where user_id = any ($1::bigint[])"
    assert await auth.database.fetchval(count, ids) == 100, reports
    for user in users[:5]:
        assert await auth.session_of(user["sessions"][0]["token"])
