"""Password hashes: what is stored, which secret matches, and when a hash is replaced."""

from collections.abc import Iterator

import pytest

from auth_service.digests.formats import read_digest
from auth_service.digests.model import PresentedPassword
from auth_service.digests.spelling import SpelledDigest
from auth_service.passwords import hasher
from auth_service.passwords.hasher import Cost, PasswordCheck, PasswordHasher
from auth_service.passwords.hashing_pool import HashingPool
from auth_service.passwords.hashing_slots import HashingSlot
from shared.keys import KeyRing

SECRET = "5f4dcc3b5aa765d61d8327deb882cf99"
OTHER = "00000000000000000000000000000000"
OLD, NEW = "1:" + "a1" * 32, "2:" + "b2" * 32
SLOT = HashingSlot(("site", "network", 1), ends_at=float("inf"))
CHEAP = Cost(memory_kib=64, passes=1)


@pytest.fixture
def pool() -> Iterator[HashingPool]:
    pool = HashingPool(1, 8)
    yield pool
    pool.close()


async def test_a_hash_names_its_pepper_and_the_recommended_cost(pool: HashingPool) -> None:
    password_hash = await PasswordHasher(KeyRing.parse(NEW), pool).hash(SLOT, SECRET)

    assert password_hash.startswith("2$argon2id$v=19$m=19456,t=2,p=1$")
    assert SECRET not in password_hash


async def test_only_the_correct_secret_matches(pool: HashingPool) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)
    password_hash = await passwords.hash(SLOT, SECRET)

    assert await passwords.verify(SLOT, password_hash, SECRET) == PasswordCheck(matches=True)
    assert await passwords.verify(SLOT, password_hash, OTHER) == PasswordCheck(matches=False)


async def test_the_same_secret_never_gives_the_same_hash_twice(pool: HashingPool) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)

    assert await passwords.hash(SLOT, SECRET) != await passwords.hash(SLOT, SECRET)


async def test_without_its_pepper_a_hash_matches_no_secret(pool: HashingPool) -> None:
    password_hash = await PasswordHasher(KeyRing.parse(OLD), pool, CHEAP).hash(SLOT, SECRET)
    other_hasher = PasswordHasher(KeyRing.parse("1:" + "c3" * 32), pool, CHEAP)

    assert not (await other_hasher.verify(SLOT, password_hash, SECRET)).matches


async def test_a_hash_with_an_older_pepper_matches_and_is_replaced(pool: HashingPool) -> None:
    password_hash = await PasswordHasher(KeyRing.parse(OLD), pool, CHEAP).hash(SLOT, SECRET)
    passwords = PasswordHasher(KeyRing.parse(f"{NEW},{OLD}"), pool, CHEAP)

    check = await passwords.verify(SLOT, password_hash, SECRET)

    assert check.matches
    assert check.new_hash is not None
    assert check.new_hash.startswith("2$argon2id$")
    assert await passwords.verify(SLOT, check.new_hash, SECRET) == PasswordCheck(matches=True)


async def test_a_wrong_secret_replaces_no_hash(pool: HashingPool) -> None:
    password_hash = await PasswordHasher(KeyRing.parse(OLD), pool, CHEAP).hash(SLOT, SECRET)

    assert await PasswordHasher(KeyRing.parse(f"{NEW},{OLD}"), pool, CHEAP).verify(
        SLOT, password_hash, OTHER
    ) == PasswordCheck(matches=False)


async def test_a_hash_of_another_cost_is_replaced_by_one_of_the_current_cost(pool: HashingPool) -> None:
    password_hash = await PasswordHasher(KeyRing.parse(NEW), pool, CHEAP).hash(SLOT, SECRET)

    check = await PasswordHasher(KeyRing.parse(NEW), pool, Cost(memory_kib=128, passes=1)).verify(
        SLOT, password_hash, SECRET
    )

    assert check.new_hash is not None
    assert "$m=128,t=1,p=1$" in check.new_hash


async def test_a_hash_whose_pepper_was_removed_matches_no_secret(pool: HashingPool) -> None:
    password_hash = await PasswordHasher(KeyRing.parse(OLD), pool, CHEAP).hash(SLOT, SECRET)

    assert await PasswordHasher(KeyRing.parse(NEW), pool, CHEAP).verify(SLOT, password_hash, SECRET) == PasswordCheck(
        matches=False
    )


async def test_without_a_hash_the_work_is_the_same_and_nothing_matches(
    pool: HashingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)
    compared = []
    real = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda *args: (compared.append(args[0]), real(*args))[1])

    assert await passwords.verify(SLOT, None, SECRET) == PasswordCheck(matches=False)
    assert [password_hash.rsplit("$", 2)[0] for password_hash in compared] == ["2$argon2id$v=19$m=64,t=1,p=1"]


async def test_a_digest_distinguishes_secrets_and_does_not_contain_them(pool: HashingPool) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)

    assert passwords.digest(SECRET) == passwords.digest(SECRET) != passwords.digest(OTHER)
    assert bytes.fromhex(SECRET) not in passwords.digest(SECRET)
    assert SECRET not in repr(PasswordCheck(matches=True, new_hash=SECRET))


UCENTER = SpelledDigest("md5(md5(p)+salt)", "16780ba78d2d5f02f3202901c1b6d975", b"568")
BCRYPT = SpelledDigest("bcrypt", "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu")
HASHCAT, TEST = PresentedPassword.from_plain("hashcat"), PresentedPassword.from_plain("test")


async def test_a_digest_of_an_md5_is_wrapped_and_matches_the_md5_alone(pool: HashingPool) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)
    wrapped = await passwords.wrap(SLOT, read_digest(UCENTER))

    assert wrapped.startswith("2$argon2id$v=19$m=64,t=1,p=1$")
    assert UCENTER.digest not in wrapped
    assert (await passwords.verify(SLOT, wrapped, HASHCAT.secret)).matches
    assert await passwords.verify(SLOT, wrapped, OTHER) == PasswordCheck(matches=False)
    assert not (await passwords.verify(SLOT, wrapped, UCENTER.digest)).matches


async def test_an_imported_hash_is_replaced_by_one_of_our_own_at_the_first_match(pool: HashingPool) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)
    wrapped = await passwords.wrap(SLOT, read_digest(BCRYPT))

    check = await passwords.verify(SLOT, wrapped, TEST.secret, TEST.plain)

    assert check.matches
    assert check.new_hash is not None
    assert "|" not in check.new_hash
    assert await passwords.verify(SLOT, check.new_hash, TEST.secret) == PasswordCheck(matches=True)


async def test_without_plain_text_a_digest_that_needs_it_matches_nothing(pool: HashingPool) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)
    wrapped = await passwords.wrap(SLOT, read_digest(BCRYPT))

    assert await passwords.verify(SLOT, wrapped, TEST.secret) == PasswordCheck(matches=False)


async def test_plain_text_does_not_replace_the_secret_of_a_hash_of_our_own(pool: HashingPool) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)
    password_hash = await passwords.hash(SLOT, SECRET)

    assert await passwords.verify(SLOT, password_hash, SECRET, "anything") == PasswordCheck(matches=True)
    assert await passwords.verify(SLOT, password_hash, OTHER, "password") == PasswordCheck(matches=False)


async def test_plain_md5_is_imported_as_a_hash_of_our_own(pool: HashingPool) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)
    imported = await passwords.wrap(SLOT, read_digest(SpelledDigest("md5(p)", SECRET)))

    assert "|" not in imported
    assert await passwords.verify(SLOT, imported, SECRET) == PasswordCheck(matches=True)


async def test_an_imported_hash_with_an_older_pepper_matches(pool: HashingPool) -> None:
    wrapped = await PasswordHasher(KeyRing.parse(OLD), pool, CHEAP).wrap(SLOT, read_digest(UCENTER))
    passwords = PasswordHasher(KeyRing.parse(f"{NEW},{OLD}"), pool, CHEAP)

    check = await passwords.verify(SLOT, wrapped, HASHCAT.secret)

    assert check.new_hash is not None
    assert check.new_hash.startswith("2$argon2id$")


async def test_every_comparison_makes_one_hash_of_our_cost(pool: HashingPool, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = PasswordHasher(KeyRing.parse(NEW), pool, CHEAP)
    hashes = [None, await passwords.hash(SLOT, SECRET)]
    hashes += [await passwords.wrap(SLOT, read_digest(each)) for each in (UCENTER, BCRYPT)]
    compared: list[bytes] = []
    real = hasher.verify_secret
    monkeypatch.setattr(hasher, "verify_secret", lambda *args: (compared.append(args[0]), real(*args))[1])

    for password_hash in hashes:
        assert await passwords.verify(SLOT, password_hash, OTHER) == PasswordCheck(matches=False)
        assert await passwords.verify(SLOT, password_hash, OTHER, "wrong") == PasswordCheck(matches=False)

    assert len(compared) == 2 * len(hashes)
    assert {phc.rsplit(b"$", 2)[0] for phc in compared} == {b"$argon2id$v=19$m=64,t=1,p=1"}
