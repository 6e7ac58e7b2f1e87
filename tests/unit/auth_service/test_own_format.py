"""Our own hashes in a file: what an export writes, and what an import takes as it is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2.exceptions import VerifyMismatchError

from auth_service.digests.formats import read_digest
from auth_service.digests.model import DigestRefusedError, PresentedPassword
from auth_service.digests.spelling import SpelledDigest
from auth_service.passwords.hasher import Cost, PasswordHasher
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.hashing_slots import HashingSlot
from auth_service.passwords.own_format import OwnFormat, is_own
from shared.keys import KeyRing

ROOT = Path(__file__).parents[3]
OLD, NEW = "1:" + "a1" * 32, "2:" + "b2" * 32
SLOT = HashingSlot(("site", "network", 1), ends_at=float("inf"))
CHEAP = Cost(memory_kib=64, passes=1)
HASH = "1$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
BCRYPT = SpelledDigest("bcrypt", "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu")


@pytest.fixture
def pool() -> Iterator[HashingPool]:
    pool = HashingPool(1, 8)
    yield pool
    pool.close()


def own_format(peppers: str) -> OwnFormat:
    return OwnFormat(KeyRing.parse(peppers), CHEAP)


def refusal(format_name: str, text: str, peppers: str = OLD) -> str:
    with pytest.raises(DigestRefusedError) as refused:
        own_format(peppers).read(format_name, text)
    return refused.value.reason


def name_of(text: str, peppers: str = OLD) -> str:
    name = own_format(peppers).name_for(text)
    assert name is not None
    return name


async def test_a_hash_goes_and_comes_back_and_its_password_matches(pool: HashingPool) -> None:
    password = PresentedPassword.from_plain("correct horse")
    text = await PasswordHasher(KeyRing.parse(OLD), pool, CHEAP).hash(SLOT, password.secret)

    stored = own_format(f"{NEW},{OLD}").read(name_of(text), text)

    assert (stored.text, stored.recipe) == (text, None)
    elsewhere = PasswordHasher(KeyRing.parse(f"{NEW},{OLD}"), pool, CHEAP)
    assert (await elsewhere.verify(SLOT, stored.text, password.secret)).matches


async def test_a_wrapped_digest_comes_back_with_its_recipe(pool: HashingPool) -> None:
    digest = read_digest(BCRYPT)
    text = await PasswordHasher(KeyRing.parse(OLD), pool, CHEAP).wrap(SLOT, digest)
    assert own_format(OLD).read(name_of(text), text).recipe == digest.recipe


async def test_the_lines_in_the_documents_verify_an_exported_hash(pool: HashingPool) -> None:
    page = (ROOT / "docs" / "moving-in.md").read_text()
    (code,) = [each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def verify" in each]
    lines: dict[str, Any] = {}
    exec(compile(code, "moving-in.md", "exec"), lines)
    password = PresentedPassword.from_plain("correct horse")
    text = await PasswordHasher(KeyRing.parse(OLD), pool, CHEAP).hash(SLOT, password.secret)

    assert lines["verify"]("correct horse", text, bytes.fromhex("a1" * 32))
    with pytest.raises(VerifyMismatchError):
        lines["verify"]("wrong horse", text, bytes.fromhex("a1" * 32))


def test_the_format_names_a_pepper_and_does_not_show_it() -> None:
    name = name_of(HASH)
    assert is_own(name)
    assert not is_own("bcrypt")
    assert name.removeprefix("haoma:") not in OLD
    assert len(name) == len("haoma:") + 16


def test_a_hash_of_another_pepper_with_the_same_id_is_refused() -> None:
    assert refusal(name_of(HASH), HASH, "1:" + "c3" * 32) == "password_pepper_unknown"
    assert refusal(name_of(HASH), HASH, NEW) == "password_pepper_unknown"
    assert refusal("haoma", HASH) == refusal("haoma:None", HASH, NEW) == "password_pepper_unknown"


def test_a_hash_whose_pepper_is_lost_has_no_format() -> None:
    assert own_format(NEW).name_for(HASH) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "1", HASH[1:], f"0{HASH}", HASH.replace("argon2id", "argon2i"), HASH.replace("v=19", "v=16"),
        HASH.replace("p=1", "p=2"), HASH.replace("m=64", "m=064"), HASH.replace("m=64", "m=4"), HASH[:-30],
        HASH[:-1] + "B", HASH + "=", HASH.replace("AA$", "A$"), HASH + "\n", "１" + HASH[1:],
        HASH + "|", HASH + "|layout;md5(p)", HASH + "|layout;md5(salt);", HASH + "|sqrt;1;p;", "$2y$04$" + "a" * 53,
    ],
    ids=range(20),
)  # fmt: skip
def test_a_text_that_no_haoma_has_stored_is_refused(text: str) -> None:
    assert refusal(name_of(HASH), text) in {"password_malformed", "password_format_unknown"}


@pytest.mark.parametrize("text", [HASH.replace("m=64", "m=65"), HASH.replace("t=1", "t=2")])
def test_a_hash_that_takes_longer_than_ours_is_refused(text: str) -> None:
    assert refusal(name_of(HASH), text) == "password_too_costly"
