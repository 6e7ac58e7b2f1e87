"""Digests of other systems, from published vectors: each is read, matches its password, and survives as text."""

import pytest

from auth_service.digests.formats import read_digest
from auth_service.digests.layouts import parse_layout
from auth_service.digests.model import DigestRefusedError, PlainTextNeededError, PresentedPassword
from auth_service.digests.recipes import recipe_of
from auth_service.digests.spelling import SpelledDigest
from auth_service.digests.stored_recipes import read_recipe

FIREBASE = (
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,"
    "sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$"
    "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
)
"""From the README of github.com/firebase/scrypt, as Supabase spells it."""
SUPABASE_FIREBASE = (
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,"
    "sk=ou9tdYTGyYm8kuR6Dt0Bp0kDuAYoXrK16mbZO4yGwAn3oLspjnN0/c41v8xZnO1n14J3MjKj1b2g6AUCAlFwMw==$C0sHCg9ek77hsg==$"
    "zKVTMvnWVw5BBOZNUdnsalx4c4c7y/w7IS5p6Ut2+CfEFFlz37J9huyQfov4iizN8dbjvEJlM5tQaJP84+hfTw=="
)
"""From the tests of github.com/supabase/auth, as are the bcrypt and argon2 digests of "test"."""
RFC_7914 = (
    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
)
RFC_6070 = "4b007901b765489abead49d926f721d065a429c1"
WERKZEUG_SCRYPT = (
    "scrypt:32768:8:1$p6YIyVfuDbsM85n8$3ec9a4a2ff4395d23af66aa270282d7185f14fe4fd63903bf95cebf628280f7b"
    "5add9a2eb7c6fefe504cbb85f3aa3cb1afb383a1b8205a50057cc9182c11d0d0"
)
DJANGO_SCRYPT = (
    "scrypt$16384$seasalt$8$1$Qj3+9PPyRjSJIebHnG81TMjsqtaIGxNQG/aEB/NYafTJ7tibgfYz71m0ldQESkXFRkdVCBhhY8mx7rQwite/Pw=="
)
DJANGO_OLD_ARGON2 = (
    "argon2$argon2i$m=8,t=1,p=1$c29tZXNhbHQ$"
    "gwQOXSNhxiOxPOA0+PY10P9QFO4NAYysnqRt1GSQLE55m+2GYDt9FEjPMHhP2Cuf0nOEXXMocVrsJAtNSsKyfg"
)

HASHCAT = [
    ("md5(p)", "8743b52063cd84097a65d1633f5c74f5", ""),
    ("md5(md5(p))", "a936af92b0ae20b1ff6c3347a72e5fbe", ""),
    ("md5(md5(p)+salt)", "16780ba78d2d5f02f3202901c1b6d975", "568"),  # UCenter, Discuz, vBulletin
    ("md5(salt+md5(p))", "95248989ec91f6d0439dbde2bd0140be", "1234"),
    ("md5(md5(salt)+md5(p))", "8d2129083ef35f4b365d5d87487e1207", "47204"),  # MyBB, IPB
    ("md5(p+salt)", "01dfae6e5d4d90d9892622325959afbe", "7050461"),
    ("md5(salt+p)", "f0fda58630310a6dd91a7d8f0a4ceda2", "4225637426"),
    ("sha1(p+salt)", "2fc5a684737ce1bf7b3b239df432416e0dd07357", "2014"),
    ("sha1(salt+p)", "cac35ec206d868b7d7cb0b55f31d9425b075082b", "5363620024"),
    ("sha256(p+salt)", "c73d08de890479518ed60cf670d17faa26a4a71f995c1dcc978165399401a6c4", "53743528"),
    ("sha256(salt+p)", "eb368a2dfd38b405f014118c7d9747fcc97f4f0ee75c05963cd9da6ee65ef498", "560407001617"),
]
"""The examples of hashcat (modes 0, 2600, 2611, 3710, 2811, 10, 20, 110, 120, 1410, 1420), all of "hashcat"."""


def salt_beside(format_: str) -> bytes:
    """A salt for the formats whose digest has none in it."""
    return b"salt" if "salt" in format_ or format_.startswith(("pbkdf2:", "scrypt:")) else b""


VECTORS = [
    *(pytest.param(SpelledDigest(format_, digest, salt.encode()), "hashcat", id=format_) for format_, digest, salt in HASHCAT),
    pytest.param(SpelledDigest("bcrypt", "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu"), "test", id="bcrypt"),
    pytest.param(SpelledDigest("argon2", "$argon2i$v=19$m=16,t=2,p=1$bGJRWThNOHJJTVBSdHl2dQ$NfEnUOuUpb7F2fQkgFUG4g"), "test", id="argon2i"),
    pytest.param(
        SpelledDigest("argon2", "$argon2id$v=19$m=32,t=3,p=2$SFVpOWJ0eXhjRzVkdGN1RQ$RXnb8rh7LaDcn07xsssqqulZYXOM/EUCEFMVcAcyYVk"),
        "test", id="argon2id",
    ),
    pytest.param(SpelledDigest("firebase", FIREBASE), "user1password", id="firebase"),
    pytest.param(SpelledDigest("firebase", SUPABASE_FIREBASE), "mytestpassword", id="firebase in supabase"),
    pytest.param(SpelledDigest("scrypt:16384:8:1", RFC_7914, b"SodiumChloride"), "pleaseletmein", id="scrypt"),
    pytest.param(SpelledDigest("pbkdf2:sha1:4096", RFC_6070, b"salt"), "password", id="pbkdf2"),
    pytest.param(
        SpelledDigest("django", "pbkdf2_sha256$390000$seasalt$8xBlGd3jVgvJ+92hWPxi5ww0uuAuAnKgC45eudxro7c="),
        "lètmein", id="django pbkdf2",
    ),
    pytest.param(SpelledDigest("django", "sha1$seasalt$cff36ea83f5706ce9aa7454e63e431fc726b2dc8"), "lètmein", id="django sha1"),
    pytest.param(SpelledDigest("django", "sha1$$6d138ca3ae545631b3abd71a4f076ce759c5700b"), "lètmein", id="django sha1 unsalted"),
    pytest.param(SpelledDigest("django", "md5$seasalt$3f86d0d3d465b7b458c231bf3555c0e3"), "lètmein", id="django md5"),
    pytest.param(SpelledDigest("django", "md5$$88a434c88cca4e900f7874cd98123f43"), "lètmein", id="django md5 unsalted"),
    pytest.param(SpelledDigest("django", DJANGO_SCRYPT), "lètmein", id="django scrypt"),
    pytest.param(SpelledDigest("django", DJANGO_OLD_ARGON2), "secret", id="django argon2 of old"),
    pytest.param(
        SpelledDigest("django", "argon2$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$YC9+jJCrQhs5R6db7LlN8Q"), "secret", id="django argon2",
    ),
    pytest.param(SpelledDigest("werkzeug", WERKZEUG_SCRYPT), "123", id="werkzeug scrypt"),
    pytest.param(
        SpelledDigest(
            "werkzeug", "pbkdf2:sha256:150000$xagwaZzl$c7dcc3b9ec83a7e90737e0836e00fb87a7d05304d4939072d8800783dea80287"
        ),
        "cheese0!", id="werkzeug pbkdf2",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("spelled", "password"), VECTORS)
def test_a_published_digest_matches_its_password_and_no_other(spelled: SpelledDigest, password: str) -> None:
    digest = read_digest(spelled)
    stored = recipe_of(digest.recipe.text)

    assert stored == digest.recipe
    assert stored.compute(PresentedPassword.from_plain(password)) == digest.value
    assert stored.compute(PresentedPassword.from_plain(password + "z")) != digest.value


@pytest.mark.parametrize(("spelled", "password"), VECTORS)
def test_the_md5_of_a_password_is_enough_where_the_digest_is_a_function_of_it(
    spelled: SpelledDigest, password: str
) -> None:
    digest = read_digest(spelled)
    only_md5 = PresentedPassword(PresentedPassword.from_plain(password).secret)

    if digest.recipe.needs_plain:
        with pytest.raises(PlainTextNeededError):
            digest.recipe.compute(only_md5)
    else:
        assert digest.recipe.compute(only_md5) == digest.value
    assert digest.recipe.needs_plain == (spelled.format not in LAYOUTS_OF_MD5 and spelled.digest not in LAYOUTS_OF_MD5)


LAYOUTS_OF_MD5 = {
    "md5(p)", "md5(md5(p))", "md5(md5(p)+salt)", "md5(salt+md5(p))", "md5(md5(salt)+md5(p))",
    "md5$$88a434c88cca4e900f7874cd98123f43",
}  # fmt: skip


def test_bcrypt_of_an_md5_needs_no_plain_text() -> None:
    """The bcrypt is that of "test", computed by the library: here its text takes the place of an md5."""
    digest = read_digest(
        SpelledDigest("bcrypt", "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu", of="md5(p)")
    )
    assert not digest.recipe.needs_plain
    assert digest.recipe.compute(PresentedPassword("test")) == digest.value


BETTER_AUTH = (
    "1c50892c354da5b23ec3b5007649bc6e:"
    "3ae913baacddc8fe50a13365874b35461482bf1f0306df04b4a18ed78b69fb07"
    "b84e14342983f3b7890a4d4084363214b102d5fd827e9a0335bcc855dc30b3c9"
)
"""Of "café horse", made by ``scrypt`` of Node with the parameters in the source of better-auth, which has no vector."""


@pytest.mark.parametrize("password", ["caf\u00e9 horse", "cafe\u0301 horse"])
def test_a_password_of_better_auth_is_read_in_its_unicode_form(password: str) -> None:
    digest = read_digest(SpelledDigest("better-auth", BETTER_AUTH))
    assert digest.recipe.compute(PresentedPassword.from_plain(password)) == digest.value


def test_a_bcrypt_password_is_read_up_to_72_bytes() -> None:
    recipe = read_digest(SpelledDigest("bcrypt", "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu")).recipe
    assert recipe.compute(PresentedPassword.from_plain("a" * 100)) == recipe.compute(
        PresentedPassword.from_plain("a" * 72)
    )


def test_the_bits_of_a_bcrypt_salt_that_count_for_nothing_may_be_set() -> None:
    digest = read_digest(SpelledDigest("bcrypt", "$2y$04$mIJxfrCaEI3GukZe11CiXxblhEFanu5.ododkll1WphfSp6pn4zIu"))
    assert digest.recipe.compute(PresentedPassword.from_plain("test")) == digest.value


def test_the_recipe_of_plain_md5_is_that_of_the_wire() -> None:
    assert read_digest(SpelledDigest("md5(p)", "8743B52063CD84097A65D1633F5C74F5")).recipe.text == "layout;md5(p);"


def test_a_digest_may_be_in_hex_of_either_case_or_in_base64() -> None:
    spellings = ["8743b52063cd84097a65d1633f5c74f5", "8743B52063CD84097A65D1633F5C74F5", "h0O1IGPNhAl6ZdFjP1x09Q=="]
    assert len({read_digest(SpelledDigest("md5(p)", each)).value for each in spellings}) == 1


@pytest.mark.parametrize(
    "layout",
    [
        "", "p", "salt", "md5", "md5(", "md5()", "md5(p", "md5(p))", "md5(p+)", "md5(+p)", "md5(p)+salt", "md5(p p)",
        "MD5(p)", "md4(p)", "md5(salt)", "md5(md5(salt)+salt)", "md5(q)", "md5(p;salt)", "md5(p|salt)", "nfkc(p)",
        "bcrypt2", "crypt", "md5(" * 8 + "p" + ")" * 8, "md5(p" + "+p" * 60 + ")",
    ],
)  # fmt: skip
def test_what_is_no_layout_of_a_password_is_an_unknown_format(layout: str) -> None:
    with pytest.raises(DigestRefusedError, match="password_format_unknown"):
        read_digest(SpelledDigest(layout, "8743b52063cd84097a65d1633f5c74f5", b"salt"))


def test_spaces_in_a_layout_do_not_count() -> None:
    assert parse_layout("md5( md5(p) + salt )").text == "md5(md5(p)+salt)"


@pytest.mark.parametrize(
    ("format_", "digest"),
    [
        ("md5(p)", "2fc5a684737ce1bf7b3b239df432416e0dd07357"),  # a sha1
        ("sha256(p)", "8743b52063cd84097a65d1633f5c74f5"),  # an md5
        ("md5(p)", "8743b52063cd84097a65d1633f5c74fx"),
        ("md5(p)", "八" * 16),
        ("bcrypt", "8743b52063cd84097a65d1633f5c74f5"),
        ("bcrypt", "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zI"),
        ("bcrypt", "$2x$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu"),
        ("argon2", "$argon2id$v=19$m=16,t=2,p=1$$NfEnUOuUpb7F2fQkgFUG4g"),
        ("argon2", "$argon2id$v=19$m=16,t=2,p=1$bGJRWThNOHJJTVBSdHl2dQ$!!!"),
        ("argon2", "$argon2id$v=19$m=16,t=2,p=1,keyid=abc$bGJRWThNOHJJTVBSdHl2dQ$NfEnUOuUpb7F2fQkgFUG4g"),
        ("argon2", "$argon2id$v=19$m=4,t=2,p=1$bGJRWThNOHJJTVBSdHl2dQ$NfEnUOuUpb7F2fQkgFUG4g"),
        ("firebase", FIREBASE.replace("v=1", "v=2")),
        ("firebase", FIREBASE.replace("n=14", "n=0")),
        ("firebase", FIREBASE[:-8]),
        ("scrypt:16383:8:1", RFC_7914),
        ("scrypt:16384:8", RFC_7914),
        ("pbkdf2:sha3:4096", RFC_6070),
        ("pbkdf2:sha1:0", RFC_6070),
        ("pbkdf2:sha1:4096", "4b"),
        ("django", "pbkdf2_sha256$390000$seasalt"),
        ("werkzeug", "pbkdf2:sha256:150000$xagwaZzl"),
        ("better-auth", "xyz:00"),
    ],
)
def test_a_text_that_is_no_digest_of_its_format_is_malformed(format_: str, digest: str) -> None:
    with pytest.raises(DigestRefusedError, match="password_malformed"):
        read_digest(SpelledDigest(format_, digest, salt_beside(format_)))


@pytest.mark.parametrize(
    ("format_", "digest"),
    [
        ("bcrypt", "$2y$15$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu"),
        ("argon2", "$argon2id$v=19$m=1048577,t=2,p=1$bGJRWThNOHJJTVBSdHl2dQ$NfEnUOuUpb7F2fQkgFUG4g"),
        ("argon2", "$argon2id$v=19$m=16,t=21,p=1$bGJRWThNOHJJTVBSdHl2dQ$NfEnUOuUpb7F2fQkgFUG4g"),
        ("argon2", "$argon2id$v=19$m=4294967297,t=2,p=1$bGJRWThNOHJJTVBSdHl2dQ$NfEnUOuUpb7F2fQkgFUG4g"),
        ("scrypt:1048576:8:1", RFC_7914),
        ("pbkdf2:sha1:5000001", RFC_6070),
        ("firebase", FIREBASE.replace("n=14", "n=30")),
    ],
)
def test_a_digest_that_needs_too_much_time_or_memory_is_too_costly(format_: str, digest: str) -> None:
    with pytest.raises(DigestRefusedError, match="password_too_costly"):
        read_digest(SpelledDigest(format_, digest, salt_beside(format_)))


@pytest.mark.parametrize(
    "spelled",
    [
        SpelledDigest("md5(p)", "8743b52063cd84097a65d1633f5c74f5", b"568"),
        SpelledDigest("bcrypt", "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu", b"568"),
        SpelledDigest("firebase", FIREBASE, of="md5(p)"),
        SpelledDigest("django", DJANGO_SCRYPT, b"568"),
        SpelledDigest("django", DJANGO_SCRYPT, of="md5(p)"),
    ],
)
def test_a_salt_or_a_layout_that_a_format_has_no_use_for_is_refused(spelled: SpelledDigest) -> None:
    """The operator means another format. Were it left out, no password of these users would match."""
    with pytest.raises(DigestRefusedError, match="password_malformed"):
        read_digest(spelled)


@pytest.mark.parametrize("format_", ["bcrypt:10", "bcrypt:", "django:\x1b[2J", "argon2:argon2id"])
def test_a_format_without_parameters_has_none(format_: str) -> None:
    """The report prints the formats of a file, so no text of the file may be one."""
    with pytest.raises(DigestRefusedError, match="password_format_unknown"):
        read_digest(SpelledDigest(format_, "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu"))


def test_no_text_shows_a_digest_or_a_password() -> None:
    digest = read_digest(SpelledDigest("md5(md5(p)+salt)", "16780ba78d2d5f02f3202901c1b6d975", b"568"))
    shown = repr((digest, digest.recipe, PresentedPassword.from_plain("hashcat")))
    assert not any(secret in shown for secret in ("16780ba78d2d5f02", "568", "hashcat", "8743b52063cd8409"))


@pytest.mark.parametrize("spelled", [pytest.param(each.values[0], id=each.id) for each in VECTORS])
def test_a_stored_recipe_that_comes_back_from_a_file_is_the_same(spelled: SpelledDigest) -> None:
    recipe = read_digest(spelled).recipe
    assert read_recipe(recipe.text) == recipe


@pytest.mark.parametrize(
    "text",
    [
        "", "layout", "layout;md5(p)", "layout;p;", "layout;md5(salt);", "layout;x;md5(p);", "layout;md5( p );",
        "layout;md5(p);x", "layout;MD5(p);", "crypt;1;p;", "bcrypt;04;p;", "bcrypt;4;p;bUlKeGZyQ2FFSTNHdWtaZTExQ2lYdQ==",
        "bcrypt;31;p;bUlKeGZyQ2FFSTNHdWtaZTExQ2lYdQ==", "pbkdf2;sha256;1;9;p;", "pbkdf2;sha256;9999999;32;p;",
        "pbkdf2;sha3;1;32;p;", "pbkdf2;sha256;1;32;md5(salt+p);", "pbkdf2;sha256;1;032;p;", "pbkdf2;sha256;1;-2;p;",
        "scrypt;1048576;64;1;64;p;", "scrypt;16383;8;1;64;p;", "argon2;id;19;1048576;1;1;32;p;AAAAAAAAAAA=",
        "argon2;id;19;64;1;1;129;p;AAAAAAAAAAA=", "firebase;14;8;Bw==;;p;AAAA", "layout;md5(p);" + "A" * 5_000,
    ],
)  # fmt: skip
def test_a_stored_recipe_that_no_import_would_have_made_is_refused(text: str) -> None:
    with pytest.raises(DigestRefusedError):
        read_recipe(text)
