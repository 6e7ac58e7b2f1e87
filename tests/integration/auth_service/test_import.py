"""``python -m auth_service import`` on a real PostgreSQL: who is imported, how they log in, and what stops and goes on."""

import asyncio
import json
import secrets
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from support.auth import (
    Auth,
    command,
    command_environment,
    fresh_address,
    fresh_number,
    fresh_secret,
    refusal,
    registration,
)
from support.patience import until_accepted

from auth_service.accounts.user_ids import new_user_id
from auth_service.digests.model import PresentedPassword
from auth_service.importing.lines import MAX_BATCH_LINES
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    ERASE,
    LOG_IN_WITH_PASSWORD,
    REGISTER,
    ChangePassword,
    LoggedIn,
    LogInWithPassword,
)
from shared.phone import E164

WORDS = ("--by", "ada", "--reason", "move of the forum")
UCENTER = {"format": "md5(md5(p)+salt)", "digest": "16780ba78d2d5f02f3202901c1b6d975", "salt": "568"}
SHA1 = {"format": "sha1(p+salt)", "digest": "2fc5a684737ce1bf7b3b239df432416e0dd07357", "salt": "2014"}
HASHCAT = "hashcat"
"""The password of both."""
BCRYPT = {"format": "bcrypt", "digest": "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu"}
"""Of the password ``test``."""
LONG_HOLD = {"PASSWORD_REFUSAL_SECONDS": "1"}


def fresh_id() -> int:
    """An id of another system that no other test uses, below every id of ours."""
    return secrets.randbelow(2**46) + 1


def person(**more: Any) -> dict[str, Any]:
    return {"id": fresh_id(), "phone": fresh_number()} | more


def environment(auth: Auth) -> dict[str, str]:
    return {"PASSWORD_PEPPERS": auth.settings.password_peppers.get_secret_value()}


async def run(
    auth: Auth, file: Path, *users: dict[str, Any] | bytes, words: tuple[str, ...] = (), **more: str
) -> tuple[int | None, str]:
    """Write the users into the file, if there are any, and import it: the exit status and the output."""
    if users:
        file.write_bytes(
            b"".join(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in users)
        )
    return await command(auth, "import", str(file), *WORDS, *words, **environment(auth), **more)


def refused_lines(file: Path) -> list[tuple[int, str]]:
    """The lines in the file of errors with their reasons."""
    lines = map(json.loads, file.with_name(f"{file.name}.errors").read_text().splitlines())
    return [(line["line"], line["reason"]) for line in lines]


async def log_in(auth: Auth, phone: str, password: str, *, plain: bool = True) -> LoggedIn:
    """Log in as a contract does that sends plain text, or as one that sends the md5."""
    presented = PresentedPassword.from_plain(password)
    request = LogInWithPassword(
        phone=phone, secret=presented.secret, plain=presented.plain if plain else None,
        address=fresh_address(), dialect="tel",
    )  # fmt: skip
    answer: LoggedIn = await until_accepted(lambda: auth.call(LOG_IN_WITH_PASSWORD, request))
    return answer


async def stored_hash(auth: Auth, phone: str) -> str:
    return str(await auth.database.fetchval("select password_hash from accounts where phone = $1", phone))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users.ndjson"


async def test_an_imported_user_keeps_id_profile_and_times_and_has_one_snapshot(auth: Auth, file: Path) -> None:
    name = secrets.token_hex(6)
    user = person(
        name=name, nickname="Ada", gender="female", motto="hello", avatar="https://example.com/a.png",
        email="ada@example.com", level=3, type=2, discoverable=False,
        created_at="2019-03-05T10:20:30+08:00", last_seen_at=1_700_000_000, password=UCENTER,
    )  # fmt: skip

    status, output = await run(auth, file, user)

    assert status == 0, output
    account = (await log_in(auth, user["phone"], HASHCAT)).account
    assert account.model_dump(include=set(user) - {"id", "password", "last_seen_at", "created_at"}, mode="json") == {
        key: value for key, value in user.items() if key not in {"id", "password", "last_seen_at", "created_at"}
    }
    assert (account.user_id, account.created_at.isoformat(), account.version) == (
        user["id"], "2019-03-05T02:20:30+00:00", 1,
    )  # fmt: skip
    assert await auth.actions(E164(user["phone"])) == ["account.imported", "log_in_with_password.succeeded"]
    (updated,) = await auth.listener.of_user(user["id"], 1, "auth.user.")
    assert (updated["type"], updated["version"], updated["data"]["dialect"]) == ("auth.user.updated.v1", 1, "import")
    assert (updated["data"]["nickname"], updated["data"]["discoverable"]) == ("Ada", False)
    row = await auth.database.fetchrow(
        "select actor, reason from audit_log where user_id = $1 and action = 'account.imported'", user["id"]
    )
    assert tuple(row) == ("ada", "move of the forum")


async def test_a_digest_of_the_md5_works_with_the_md5_alone_and_is_replaced(auth: Auth, file: Path) -> None:
    user = person(password=UCENTER)
    await run(auth, file, user)
    wrapped = await stored_hash(auth, user["phone"])

    assert await refusal(log_in(auth, user["phone"], "wrong", plain=False)) is ErrorCode.CREDENTIALS_REFUSED
    assert await stored_hash(auth, user["phone"]) == wrapped
    await log_in(auth, user["phone"], HASHCAT, plain=False)

    replaced = await stored_hash(auth, user["phone"])
    assert "|" in wrapped
    assert "|" not in replaced
    assert (await log_in(auth, user["phone"], HASHCAT, plain=False)).account.user_id == user["id"]


@pytest.mark.parametrize(("password", "plain"), [(SHA1, HASHCAT), (BCRYPT, "test")], ids=["sha1", "bcrypt"])
async def test_another_digest_works_with_plain_text_and_after_that_with_the_md5(
    auth: Auth, file: Path, password: dict[str, str], plain: str
) -> None:
    user = person(password=password)
    assert (await run(auth, file, user, **LONG_HOLD))[0] == 0

    assert await refusal(log_in(auth, user["phone"], plain, plain=False)) is ErrorCode.CREDENTIALS_REFUSED
    assert await refusal(log_in(auth, user["phone"], "wrong")) is ErrorCode.CREDENTIALS_REFUSED
    await log_in(auth, user["phone"], plain)

    assert (await log_in(auth, user["phone"], plain, plain=False)).account.user_id == user["id"]


async def test_an_imported_password_proves_who_changes_or_erases(auth: Auth, file: Path) -> None:
    first, second = person(password=BCRYPT), person(password=BCRYPT)
    await run(auth, file, first, second, **LONG_HOLD)
    hashes = [await stored_hash(auth, each["phone"]) for each in (first, second)]
    user, other = [await log_in(auth, each["phone"], "test") for each in (first, second)]
    for each, old in zip((first, second), hashes, strict=True):  # a session that was opened before, with a code perhaps
        await auth.database.execute("update accounts set password_hash = $2 where phone = $1", each["phone"], old)

    known = PresentedPassword.from_plain("test")
    change = ChangePassword(
        user_id=user.account.user_id, session_id=user.session_id, phone=user.account.phone, current=known.secret,
        current_plain=known.plain, secret=fresh_secret(), address=fresh_address(), dialect="native",
    )  # fmt: skip
    await until_accepted(lambda: auth.call(CHANGE_PASSWORD, change))
    erasure = auth.erasure(other.account, secret=known.secret, plain=known.plain)
    await until_accepted(lambda: auth.call(ERASE, erasure))

    assert await auth.database.fetchval("select count(*) from accounts where phone = $1", second["phone"]) == 0


async def test_no_table_has_a_digest_of_the_file(auth: Auth, file: Path) -> None:
    md5 = PresentedPassword.from_plain(secrets.token_hex(8)).secret
    passwords = [UCENTER, SHA1, BCRYPT, {"format": "md5(p)", "digest": md5}]
    assert (await run(auth, file, *(person(password=each) for each in passwords), **LONG_HOLD))[0] == 0

    tables = await auth.database.fetch("select tablename from pg_tables where schemaname = 'public'")
    rows = [row[0] for (table,) in tables for row in await auth.database.fetch(f"select t::text from {table} t")]
    assert sum("|layout;md5(md5(p)+salt);" in row for row in rows) > 0
    for password in passwords:
        assert [row for row in rows if password["digest"][-31:] in row] == []


async def test_a_second_run_changes_nothing(auth: Auth, file: Path) -> None:
    users = [person(password=UCENTER), person(), person(id=f"uid-{secrets.token_hex(4)}")]
    ids = file.with_name("ids")
    first = await run(auth, file, *users, words=("--ids", str(ids)))
    found = ids.read_text()

    second = await run(auth, file, words=("--ids", str(ids)))

    assert first[0] == second[0] == 0
    assert "3 users imported, 0 were imported before" in first[1]
    assert "0 users imported, 3 were imported before" in second[1]
    assert ids.read_text() == found
    assert json.loads(found)["user_id"] == await auth.database.fetchval(
        "select user_id from accounts where phone = $1", users[2]["phone"]
    )


async def test_what_a_live_account_has_is_named_by_line_and_the_others_are_imported(auth: Auth, file: Path) -> None:
    phone, name = fresh_number(), secrets.token_hex(6)
    live = await auth.call(REGISTER, registration(auth.ticket(phone), fresh_secret(), name=name))
    good = person()

    status, output = await run(
        auth, file,
        person(phone=phone), person(name=name.upper()), person(id=live.account.user_id), b'{"id": 7, "pho\n',
        person(phone="12345"), good, person(password={"format": "bcrypt", "digest": "0" * 32}),
        person(password=BCRYPT), b'{"id": 9, "phone": "138',
    )  # fmt: skip

    assert status == 3
    assert "1 users imported" in output
    assert refused_lines(file) == [
        (1, "number_taken"), (2, "name_taken"), (3, "id_taken"), (4, "json_broken"), (5, "number_refused"),
        (7, "password_malformed"), (8, "password_too_slow"), (9, "json_broken"),
    ]  # fmt: skip
    assert await auth.database.fetchval("select user_id from accounts where phone = $1", good["phone"]) == good["id"]
    assert await auth.database.fetchval("select user_id from accounts where phone = $1", phone) == live.account.user_id


async def test_a_user_who_was_erased_is_not_imported_again(auth: Auth, file: Path) -> None:
    user = person(password=UCENTER)
    await run(auth, file, user)
    await auth.erase(user["id"])

    status, output = await run(auth, file)

    assert (status, "1 were erased since" in output) == (0, True)
    assert await auth.database.fetchval("select count(*) from accounts where user_id = $1", user["id"]) == 0
    assert await auth.database.fetchval("select count(*) from imported_accounts where user_id = $1", user["id"]) == 0


async def test_a_banned_user_is_imported_as_banned(auth: Auth, file: Path) -> None:
    user = person(password=UCENTER, banned=True)
    await run(auth, file, user)
    assert await refusal(log_in(auth, user["phone"], HASHCAT)) is ErrorCode.ACCOUNT_BANNED
    (event,) = await auth.listener.of_user(user["id"], 1, "auth.user.")
    assert event["data"]["disabled"] is True


async def test_a_run_that_is_killed_goes_on_and_every_user_is_imported_once(auth: Auth, file: Path) -> None:
    """The number of the last user is held, so that no run ends before it is killed."""
    users = [person(sessions=[{"token": secrets.token_hex(16)}]) for _ in range(4 * MAX_BATCH_LINES)]
    file.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in users))
    ids = [each["id"] for each in users]

    async def imported() -> int:
        count = "select count(*) from accounts where user_id = any ($1::bigint[])"
        return int(await auth.database.fetchval(count, ids))

    async with auth.database.acquire() as other:
        holding = other.transaction()
        await holding.start()
        await other.execute(
            "insert into accounts (user_id, phone, nickname, dialect, client) values ($1, $2, '', '', '')",
            new_user_id(),
            users[-1]["phone"],
        )
        for batches in range(1, 4):
            process = await start(auth, file, "--rate", "2000")
            async with asyncio.timeout(60):
                while await imported() < batches * MAX_BATCH_LINES:
                    await asyncio.sleep(0)
            process.kill()
            assert await process.wait() == -signal.SIGKILL
        await holding.rollback()

    assert (await run(auth, file))[0] == 0

    assert await imported() == len(users)
    marks = await auth.database.fetchval(
        "select count(*) from imported_accounts where user_id = any ($1::bigint[])", ids
    )
    entries = await auth.database.fetchval(
        "select count(*) from audit_log where user_id = any ($1::bigint[]) and action = 'account.imported'", ids
    )
    sessions = await auth.database.fetchval("select count(*) from sessions where user_id = any ($1::bigint[])", ids)
    assert (marks, entries, sessions) == (len(users), len(users), len(users))
    wanted = set(map(str, ids))
    events = await auth.listener.wait_for(len(users), lambda event: event["data"].get("user_id") in wanted)
    assert len({event["id"] for event in events}) == len(users)


async def test_two_imports_of_one_file_at_once_import_every_user_once(auth: Auth, file: Path) -> None:
    users = [person() for _ in range(2 * MAX_BATCH_LINES)]
    file.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in users))
    copies = [await start(auth, file, "--errors", str(file.with_name(f"{n}.errors"))) for n in range(2)]

    assert [await process.wait() for process in copies] == [0, 0]

    count = "select count(*) from accounts where user_id = any ($1::bigint[])"
    assert await auth.database.fetchval(count, [each["id"] for each in users]) == len(users)


async def test_an_import_waits_for_postgresql_and_goes_on(auth: Auth, file: Path) -> None:
    """Its disk is full for two attempts: a sequence counts them, because it is not rolled back."""
    user = person(nickname="disk full")
    await auth.database.execute("""
        create sequence failures;
        create function fail() returns trigger language plpgsql as $$ begin
            if new.nickname = 'disk full' and nextval('failures') <= 2 then
                raise exception 'no space left on device' using errcode = 'disk_full';
            end if;
            return new;
        end $$;
        create trigger fail before insert on accounts for each row execute function fail();
    """)

    status, output = await run(auth, file, user)

    await auth.database.execute("drop trigger fail on accounts")
    assert status == 0, output
    assert await auth.database.fetchval("select last_value from failures") == 3
    assert await auth.database.fetchval("select user_id from accounts where phone = $1", user["phone"]) == user["id"]


async def test_a_file_of_errors_that_cannot_be_written_stops_the_run_with_its_reason(auth: Auth, file: Path) -> None:
    status, output = await run(auth, file, b"broken\n", words=("--errors", "/dev/full"))
    assert status == 1
    assert output.endswith(
        "import: stopped: [Errno 28] No space left on device. What was imported stays; run it again to go on\n"
    )


async def test_a_file_that_does_not_exist_is_an_error_of_one_line(auth: Auth, file: Path) -> None:
    status, output = await run(auth, file)
    assert (status, output.count("\n")) == (1, 1)
    assert "No such file" in output


async def test_a_dry_run_reports_and_writes_nothing(auth: Auth, file: Path) -> None:
    user = person(password=UCENTER)
    known = file.with_name("known")
    known.write_text(json.dumps({"id": user["id"], "password": HASHCAT}) + "\n")

    status, output = await run(
        auth, file, user, person(phone=user["phone"]), words=("--dry-run", "--known-passwords", str(known))
    )

    assert status == 3
    assert "1 users would be imported" in output
    assert "known passwords: 1 match, 0 do not" in output
    assert refused_lines(file) == [(2, "number_taken")]
    assert await auth.database.fetchval("select count(*) from accounts where phone = $1", user["phone"]) == 0


async def test_users_come_from_standard_input(auth: Auth, file: Path) -> None:
    user = person(password=UCENTER)
    process = await start(auth, Path("-"), "--errors", str(file), stdin=asyncio.subprocess.PIPE)

    await process.communicate(json.dumps(user).encode())

    assert process.returncode == 0
    assert (await log_in(auth, user["phone"], HASHCAT)).account.user_id == user["id"]


async def start(auth: Auth, file: Path, *words: str, stdin: int | None = None) -> asyncio.subprocess.Process:
    """An import that runs."""
    environ = command_environment(auth, **environment(auth))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth_service", "import", str(file), *WORDS, *words, env=environ, stdin=stdin,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
