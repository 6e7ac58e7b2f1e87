"""Users of other systems log in through each contract that can compare their digest, and after that through all."""

import asyncio
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from stack.system import Stack
from support.app import App, fresh_number
from support.database import Tables
from support.dialect_clients import WITH_LOG_IN, Environment
from support.moving import import_users
from support.patience import until_answered

BCRYPT = "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu"
FIREBASE = (
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,"
    "sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$"
    "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
)
SCRYPT = (
    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
)
ARGON2 = "$argon2id$v=19$m=32,t=3,p=2$SFVpOWJ0eXhjRzVkdGN1RQ$RXnb8rh7LaDcn07xsssqqulZYXOM/EUCEFMVcAcyYVk"

OF_MD5 = {
    "md5": ({"format": "md5(p)", "digest": "8743b52063cd84097a65d1633f5c74f5"}, "hashcat"),
    "ucenter": ({"format": "md5(md5(p)+salt)", "digest": "16780ba78d2d5f02f3202901c1b6d975", "salt": "568"}, "hashcat"),
    "mybb": (
        {"format": "md5(md5(salt)+md5(p))", "digest": "8d2129083ef35f4b365d5d87487e1207", "salt": "47204"},
        "hashcat",
    ),
}
"""Digests of the md5 of a password, with the password."""
OF_PLAIN_TEXT = {
    "md5 salted": ({"format": "md5(salt+p)", "digest": "f0fda58630310a6dd91a7d8f0a4ceda2", "salt": "4225637426"}, "hashcat"),
    "sha1": ({"format": "sha1(p+salt)", "digest": "2fc5a684737ce1bf7b3b239df432416e0dd07357", "salt": "2014"}, "hashcat"),
    "sha256": (
        {
            "format": "sha256(salt+p)", "salt": "560407001617",
            "digest": "eb368a2dfd38b405f014118c7d9747fcc97f4f0ee75c05963cd9da6ee65ef498",
        },
        "hashcat",
    ),
    "bcrypt": ({"format": "bcrypt", "digest": BCRYPT}, "test"),
    "argon2": ({"format": "argon2", "digest": ARGON2}, "test"),
    "pbkdf2": ({"format": "pbkdf2:sha1:4096", "digest": "4b007901b765489abead49d926f721d065a429c1", "salt": "salt"}, "password"),
    "scrypt": ({"format": "scrypt:16384:8:1", "digest": SCRYPT, "salt": "SodiumChloride"}, "pleaseletmein"),
    "firebase": ({"format": "firebase", "digest": FIREBASE}, "user1password"),
    "django": (
        {"format": "django", "digest": "pbkdf2_sha256$390000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c="}, "lètmein",
    ),
}  # fmt: skip
"""Digests for which the plain text is needed, with the password. All of both are published vectors."""
FORMATS = OF_MD5 | OF_PLAIN_TEXT


@pytest.fixture(scope="module")
async def numbers(system: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """The number of a user of each format for each contract, all of them imported."""
    users = {(name, contract): fresh_number() for name in FORMATS for contract in WITH_LOG_IN}
    lines = [
        {"id": secrets.randbelow(2**46) + 1, "phone": number, "password": FORMATS[name][0]}
        for (name, _), number in users.items()
    ]
    file = tmp_path_factory.mktemp("import") / "users.ndjson"
    await asyncio.to_thread(file.write_text, "\n".join(map(json.dumps, lines)))
    status, output = await import_users(system, file)
    assert (status, f"{len(users)} users imported" in output) == (0, True), output
    return users


@pytest.fixture
def environment(app: App, tables: Tables) -> Environment:
    return Environment(app, tables)


async def status_of(environment: Environment, contract: str, number: str, password: str) -> tuple[bool, Any]:
    """Whether a log-in through a contract succeeds, and its body."""
    log_in = WITH_LOG_IN[contract].log_in
    assert log_in is not None
    reply = await until_answered(lambda: log_in(environment, number, password))
    return reply.status in {200, 201} and "error_code" not in reply.body, reply.body


@pytest.mark.parametrize("contract", WITH_LOG_IN)
@pytest.mark.parametrize("name", FORMATS)
async def test_an_imported_user_logs_in_where_the_digest_can_be_compared(
    environment: Environment, numbers: dict[tuple[str, str], str], name: str, contract: str
) -> None:
    number, password = numbers[name, contract], FORMATS[name][1]
    can_log_in = name in OF_MD5 or contract != "maitian"

    assert not (await status_of(environment, contract, number, "wrong " + password))[0]
    succeeded, body = await status_of(environment, contract, number, password)

    assert succeeded is can_log_in, body
    if not can_log_in:
        assert body == {"error_code": "20000", "error_message": "密码错误"}
        assert (await status_of(environment, "tel", number, password))[0]
    for each in WITH_LOG_IN:
        assert (await status_of(environment, each, number, password))[0], each


async def test_a_user_whose_digest_needs_plain_text_sets_a_new_password_by_code(
    app: App, environment: Environment, system: Stack, tmp_path: Path
) -> None:
    number, file = fresh_number(), tmp_path / "user"
    user = {"id": secrets.randbelow(2**46) + 1, "phone": number, "password": OF_PLAIN_TEXT["sha1"][0]}
    await asyncio.to_thread(file.write_text, json.dumps(user))
    assert (await import_users(system, file))[0] == 0
    assert not (await status_of(environment, "maitian", number, "hashcat"))[0]

    await app.forgot(number)
    await app.reset(number, await app.code(number), "correct horse")

    assert (await status_of(environment, "maitian", number, "correct horse"))[0]
    assert not (await status_of(environment, "native", number, "hashcat"))[0]
