"""``python -m auth_service export`` on a real PostgreSQL: what it writes goes into an empty system and nothing is lost."""

import asyncio
import json
import secrets
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.auth import (
    OPERATOR,
    Auth,
    command,
    command_environment,
    database,
    fresh_address,
    fresh_number,
    fresh_secret,
    refusal,
    serving,
    settings_for,
)
from support.patience import until_accepted
from support.principals import EveryPrincipal

from auth_service.digests.model import PresentedPassword
from auth_service.exporting.store import PAGE_ROWS, ExportStore
from shared import postgres
from shared.errors import ErrorCode
from shared.internal_api.auth import LOG_IN_WITH_PASSWORD, LoggedIn, LogInWithPassword

WORDS = ("--by", "ada", "--reason", "the way out")
HASHCAT = "hashcat"
UCENTER = {"format": "md5(md5(p)+salt)", "digest": "16780ba78d2d5f02f3202901c1b6d975", "salt": "568"}
SHA1 = {"format": "sha1(p+salt)", "digest": "2fc5a684737ce1bf7b3b239df432416e0dd07357", "salt": "2014"}
BCRYPT = {"format": "bcrypt", "digest": "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu"}
FULL_PROFILE = {
    "nickname": "Ada", "gender": "female", "motto": "你好", "avatar": "https://example.com/a.png",
    "thumbnail": "http://example.com/t.png", "cover": "https://example.com/c.png", "email": "ada@example.com",
    "level": 3, "type": 2, "discoverable": False, "created_at": "2019-03-05T10:20:30.123456+08:00",
    "last_seen_at": 1_700_000_000,
}  # fmt: skip


def person(**more: Any) -> dict[str, Any]:
    return {"id": secrets.randbelow(2**46) + 1, "phone": fresh_number()} | more


def environment(auth: Auth, **more: str) -> dict[str, str]:
    peppers = auth.settings.password_peppers.get_secret_value()
    return {"PASSWORD_PEPPERS": peppers, "PASSWORD_REFUSAL_SECONDS": "1"} | more


async def export(auth: Auth, file: Path, **more: str) -> tuple[int | None, str]:
    return await command(auth, "export", str(file), *WORDS, **environment(auth, **more))


async def import_file(auth: Auth, file: Path, *words: str, **more: str) -> tuple[int | None, str]:
    return await command(auth, "import", str(file), *WORDS, *words, **environment(auth, **more))


def lines(file: Path) -> dict[str, dict[str, Any]]:
    """The users of a file by their number."""
    return {user["phone"]: user for user in map(json.loads, file.read_bytes().splitlines())}


@asynccontextmanager
async def empty_system(auth: Auth) -> AsyncIterator[tuple[str, EveryPrincipal]]:
    """The name of another database, and a service over it with the same keys."""
    async with database(auth.settings.postgres_url) as name:
        settings = settings_for(auth.settings.postgres_url, auth.settings.amqp_url, name, password_refusal_seconds=1.0)
        async with serving(settings) as client:
            yield name, client


async def log_in(client: EveryPrincipal, phone: str, password: str, *, plain: bool = True) -> LoggedIn:
    presented = PresentedPassword.from_plain(password)
    request = LogInWithPassword(
        phone=phone, secret=presented.secret, plain=presented.plain if plain else None,
        address=fresh_address(), dialect="tel",
    )  # fmt: skip
    logged_in: LoggedIn = await until_accepted(lambda: client.call(LOG_IN_WITH_PASSWORD, request))
    return logged_in


async def test_an_export_goes_into_an_empty_system_and_comes_out_the_same(auth: Auth, tmp_path: Path) -> None:
    old, exported, again = tmp_path / "old", tmp_path / "users.ndjson", tmp_path / "again.ndjson"
    number, secret = fresh_number(), PresentedPassword.from_plain("correct horse").secret
    users = {
        "full": person(password=UCENTER, name=secrets.token_hex(6), **FULL_PROFILE),
        "sha1": person(password=SHA1),
        "bcrypt": person(password=BCRYPT),
        "no password": person(),
        "banned": person(password=UCENTER, banned=True, banned_until="2099-01-01T00:00:00Z"),
    }
    old.write_text("\n".join(map(json.dumps, users.values())))
    assert (await import_file(auth, old))[0] == 0
    registered = (await auth.register(number, secret)).account

    status, output = await export(auth, exported)

    assert status == 0, output
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600
    assert lines(exported)[users["banned"]["phone"]]["banned_until"] == "2099-01-01T00:00:00Z"
    async with empty_system(auth) as (name, client):
        status, output = await import_file(auth, exported, AUTH_DATABASE=name)
        assert status == 0, output
        assert (await export(auth, again, AUTH_DATABASE=name))[0] == 0
        assert again.read_bytes() == exported.read_bytes()

        copied = (await log_in(client, number, "correct horse", plain=False)).account
        changing = {"version", "last_login_at", "updated_at"}
        assert copied.model_dump(exclude=changing) == registered.model_dump(exclude=changing)
        for kind, plain in (("full", False), ("sha1", True)):
            assert (await log_in(client, users[kind]["phone"], HASHCAT, plain=plain)).account.user_id == users[kind][
                "id"
            ]
        await log_in(client, users["bcrypt"]["phone"], "test")
        assert await refusal(log_in(client, users["banned"]["phone"], HASHCAT)) is ErrorCode.ACCOUNT_BANNED
        assert await refusal(log_in(client, users["full"]["phone"], "wrong")) is ErrorCode.CREDENTIALS_REFUSED


async def test_a_system_with_other_peppers_refuses_the_passwords_by_line(auth: Auth, tmp_path: Path) -> None:
    file, number = tmp_path / "users.ndjson", fresh_number()
    await auth.register(number, fresh_secret())
    await export(auth, file)
    one = tmp_path / "one.ndjson"
    one.write_text(json.dumps(lines(file)[number]))

    async with database(auth.settings.postgres_url) as name:
        more = {"AUTH_DATABASE": name, "PASSWORD_PEPPERS": "1:" + secrets.token_hex(32)}
        assert (await import_file(auth, one, **more))[0] == 3

    refused = json.loads(one.with_name("one.ndjson.errors").read_text())
    assert refused == {"line": 1, "reason": "password_pepper_unknown"}


async def test_a_dry_run_of_an_export_tries_known_passwords(auth: Auth, tmp_path: Path) -> None:
    file, known, number = tmp_path / "users.ndjson", tmp_path / "known", fresh_number()
    account = (await auth.register(number, PresentedPassword.from_plain("correct horse").secret)).account
    await export(auth, file)
    known.write_text(json.dumps({"id": account.user_id, "password": "correct horse"}))

    async with database(auth.settings.postgres_url) as name:
        words = ("--dry-run", "--known-passwords", str(known))
        status, output = await import_file(auth, file, *words, AUTH_DATABASE=name)

    assert status == 0, output
    assert "known passwords: 1 match, 0 do not" in output


async def test_the_audit_log_says_who_exported_how_many_and_why(auth: Auth, tmp_path: Path) -> None:
    status, _ = await export(auth, tmp_path / "users.ndjson")

    row = await auth.database.fetchrow(
        "select actor, reason, detail, client from audit_log where action = 'accounts.exported' order by at desc limit 1"
    )
    assert status == 0
    assert row is not None
    count = await auth.database.fetchval("select count(*) from accounts where phone is not null")
    assert tuple(row) == ("ada", "the way out", str(count), "operator")


async def test_accounts_without_a_number_and_erased_ones_are_not_in_the_file(auth: Auth, tmp_path: Path) -> None:
    retired, erased = [(await auth.register(fresh_number(), fresh_secret())).account for _ in range(2)]
    await auth.erase(erased.user_id)
    await auth.database.execute(
        "update accounts set phone = null, retired_at = now() where user_id = $1", retired.user_id
    )

    status, output = await export(auth, tmp_path / "users.ndjson")

    assert status == 0
    assert "1 retired accounts have no number, and are left out" in output
    found = {user["id"] for user in lines(tmp_path / "users.ndjson").values()}
    assert {retired.user_id, erased.user_id} & found == set()


async def test_an_export_has_the_users_of_one_moment_in_the_order_of_their_ids(postgres_url: str) -> None:
    add = """
        insert into accounts (user_id, phone, nickname, dialect, client)
        select n, '+861380' || lpad(n::text, 7, '0'), 'user', 'test', '' from generate_series($1::int, $2::int) n
    """
    async with database(postgres_url) as name, postgres.pool(postgres_url, name, size=3) as pool:
        await pool.execute(add, 1, 2 * PAGE_ROWS + 1)
        async with ExportStore(pool, OPERATOR).opened() as opened:
            pages = opened.pages()
            exported = [stored.user_id for stored, _ in await anext(pages)]
            await pool.execute(add, 10_000, 10_001)
            await pool.execute("delete from accounts where user_id = $1", PAGE_ROWS + 5)
            async for page in pages:
                exported += [stored.user_id for stored, _ in page]

    assert opened.counts.accounts == len(exported)
    assert exported == list(range(1, 2 * PAGE_ROWS + 2))


async def test_standard_output_has_lines_of_json_and_nothing_else(auth: Auth) -> None:
    account = (await auth.register(fresh_number(), fresh_secret())).account
    process = await start(auth, asyncio.subprocess.PIPE)

    output, errors = await process.communicate()

    assert process.returncode == 0, errors
    assert account.user_id in {json.loads(line)["id"] for line in output.splitlines()}


async def test_a_full_disk_is_an_error_of_one_line(auth: Auth) -> None:
    await auth.register(fresh_number(), fresh_secret())
    with Path("/dev/full").open("wb") as full:
        process = await start(auth, full)
        _, errors = await process.communicate()

    assert process.returncode == 1
    assert errors.decode() == (
        "export: stopped: [Errno 28] No space left on device. What was written is not whole; run it again\n"
    )


async def start(auth: Auth, stdout: Any) -> asyncio.subprocess.Process:
    """An export to standard output that runs."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth_service", "export", "-", *WORDS,
        env=command_environment(auth, **environment(auth)), stdout=stdout, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
