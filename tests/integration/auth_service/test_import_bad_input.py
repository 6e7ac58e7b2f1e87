"""``python -m auth_service import`` of files that are not as they should be: named by line, nothing half done, and on."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from rehearsal.duplicates import import_duplicates
from support.auth import Auth, command, command_environment, fresh_number

from auth_service.importing.lines import LINES_A_THREAD, MAX_BATCH_LINES

WORDS = ("--by", "ada", "--reason", "move of the forum")
DUPLICATES = 20_000
MAX_MORE_MIB = 16
"""How much more memory many lines may take than few."""
MD5, SHA1 = "8743b52063cd84097a65d1633f5c74f5", "2fc5a684737ce1bf7b3b239df432416e0dd07357"
BCRYPT = "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu"
ARGON2 = "$argon2id$v=19$m=16,t=2,p=1$bGJRWThNOHJJTVBSdHl2dQ$NfEnUOuUpb7F2fQkgFUG4g"
PHPASS, SHA512_CRYPT = "$P$B" + "a" * 30, "$6$salt$" + "a" * 86


def person(**more: Any) -> dict[str, Any]:
    return {"id": secrets.randbelow(2**46) + 1, "phone": fresh_number()} | more


def environment(auth: Auth) -> dict[str, str]:
    return {"PASSWORD_PEPPERS": auth.settings.password_peppers.get_secret_value(), "PASSWORD_REFUSAL_SECONDS": "1"}


async def import_file(auth: Auth, file: Path, *words: str) -> tuple[int | None, str]:
    return await command(auth, "import", str(file), *WORDS, *words, **environment(auth))


def refused_lines(file: Path) -> list[tuple[int, str]]:
    lines = map(json.loads, file.with_name(f"{file.name}.errors").read_text().splitlines())
    return [(line["line"], line["reason"]) for line in lines]


async def imported(auth: Auth, users: list[dict[str, Any]]) -> int:
    ids = [user["id"] for user in users]
    return int(await auth.database.fetchval("select count(*) from accounts where user_id = any ($1::bigint[])", ids))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users.ndjson"


async def test_thousands_of_lines_of_one_user_import_them_once_and_need_no_memory(auth: Auth) -> None:
    """A million of them are a part of ``make moving-check``."""
    environ, user = command_environment(auth, **environment(auth)), person()

    few = await import_duplicates(environ, person(), MAX_BATCH_LINES)
    many = await import_duplicates(environ, user, DUPLICATES)

    assert (few.status, many.status) == (0, 0)
    assert f"1 users imported, {DUPLICATES - 1} were imported before" in many.output
    assert await imported(auth, [user]) == 1
    assert many.peak_mib < few.peak_mib + MAX_MORE_MIB


async def test_a_file_that_was_cut_is_imported_up_to_the_cut_and_the_whole_file_goes_on(auth: Auth, file: Path) -> None:
    users = [person(nickname="张三") for _ in range(MAX_BATCH_LINES + 10)]
    whole = b"".join(json.dumps(user, ensure_ascii=False).encode() + b"\n" for user in users)
    position = whole.index(json.dumps(users[-5]["id"]).encode())
    file.write_bytes(whole[: whole.index("张".encode(), position) + 1])  # within a character

    status, _ = await import_file(auth, file)

    assert status == 3
    assert refused_lines(file) == [(len(users) - 4, "not_utf8")]
    assert await imported(auth, users) == len(users) - 5
    file.write_bytes(whole)
    assert (await import_file(auth, file))[0] == 0
    assert await imported(auth, users) == len(users)


@pytest.mark.parametrize("encoding", ["gbk", "utf-16", "latin-1"])
async def test_lines_in_another_encoding_are_named_and_imported_once_they_are_converted(
    auth: Auth, file: Path, encoding: str
) -> None:
    name = "José" if encoding == "latin-1" else "张三"
    users = [person(), person(nickname=name), person()]
    text = "".join(json.dumps(user, ensure_ascii=False) + "\n" for user in users)
    file.write_bytes(text.encode(encoding))

    status, _ = await import_file(auth, file)

    assert status == 3
    assert {reason for _, reason in refused_lines(file)} <= {"not_utf8", "json_broken"}
    assert await imported(auth, users) == (0 if encoding == "utf-16" else 2)
    file.write_text(text)
    assert (await import_file(auth, file))[0] == 0
    assert await imported(auth, users) == 3


async def test_a_digest_that_claims_another_format_is_named_and_nothing_of_the_user_is_written(
    auth: Auth, file: Path
) -> None:
    claims = [
        ("sha1(p)", MD5), ("md5(p)", SHA1), ("bcrypt", MD5), ("bcrypt", ARGON2), ("argon2", BCRYPT), ("bcrypt", PHPASS),
        ("argon2", SHA512_CRYPT), ("django", BCRYPT), ("werkzeug", MD5), ("firebase", BCRYPT), ("better-auth", SHA1),
        ("haoma:0011223344556677", ARGON2), ("haoma:0011223344556677", BCRYPT), ("phpass", PHPASS), ("crypt", SHA512_CRYPT),
    ]  # fmt: skip
    users = [person(password={"format": name, "digest": digest}) for name, digest in claims]
    good = person(password={"format": "md5(p)", "digest": MD5})
    file.write_text("\n".join(map(json.dumps, [*users, good])))

    status, _ = await import_file(auth, file)

    assert status == 3
    assert [line for line, _ in refused_lines(file)] == list(range(1, len(claims) + 1))
    assert {reason for _, reason in refused_lines(file)} == {"password_malformed", "password_format_unknown"}
    assert await imported(auth, [*users, good]) == 1


async def test_a_disk_that_stays_full_stops_the_run_with_nothing_half_done_and_the_next_one_goes_on(
    auth: Auth, file: Path
) -> None:
    """The disk of PostgreSQL is full for the last user of a batch: the others of it are rolled back."""
    users = [person() for _ in range(LINES_A_THREAD)] + [person(), person(nickname="full disk")]
    file.write_text("\n".join(map(json.dumps, users)))
    await auth.database.execute("""
        create function refuse() returns trigger language plpgsql as $$ begin
            if new.nickname = 'full disk' then
                raise exception 'no space left on device' using errcode = 'disk_full';
            end if;
            return new;
        end $$;
        create trigger refuse before insert on accounts for each row execute function refuse();
    """)

    status, output = await import_file(auth, file, "--threads", "1")

    assert status == 1
    assert "import: stopped: PostgreSQL does not respond, or its disk is full" in output
    assert await imported(auth, users) == LINES_A_THREAD
    ids = [user["id"] for user in users]
    entries = "select count(*) from audit_log where action = 'account.imported' and user_id = any ($1::bigint[])"
    assert await auth.database.fetchval(entries, ids) == LINES_A_THREAD
    await auth.database.execute("drop trigger refuse on accounts")
    assert (await import_file(auth, file))[0] == 0
    assert await imported(auth, users) == len(users)


async def test_a_full_disk_under_the_file_of_ids_stops_the_run_and_the_users_stay(auth: Auth, file: Path) -> None:
    user = person(id=f"uid-{secrets.token_hex(4)}")
    file.write_text(json.dumps(user))

    status, output = await import_file(auth, file, "--ids", "/dev/full")

    assert status == 1
    assert "No space left on device. What was imported stays" in output
    assert await auth.database.fetchval("select count(*) from accounts where phone = $1", user["phone"]) == 1


@pytest.mark.parametrize("option", ["--errors", "--ids"])
async def test_the_file_of_users_is_not_written_over(auth: Auth, file: Path, option: str) -> None:
    user = person()
    file.write_text(json.dumps(user))

    status, output = await import_file(auth, file, option, str(file))

    assert status == 1
    assert "is named for two purposes, and would be written over" in output
    assert json.loads(file.read_text()) == user
