"""Lines of an import: how they are read, what a user of one looks like, and what is refused by name."""

import hmac
import io
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from auth_service.accounts.user_ids import NEW_USER_IDS
from auth_service.digests.costs import MALFORMED, TOO_COSTLY
from auth_service.digests.layouts import UNKNOWN_LAYOUT
from auth_service.digests.model import Recipe
from auth_service.imported_sessions.model import ImportedSession, TokenKind
from auth_service.importing.candidates import Candidate, CandidateReader, Countries, LegacyMarks
from auth_service.importing.lines import LINES_A_THREAD, MAX_BATCH_LINES, BatchSize, read_batches
from auth_service.importing.refusal_time import RefusalTimes
from auth_service.importing.refusals import LineRefusedError, Reason
from auth_service.importing.schema import MAX_LINE_BYTES, ImportedUser, read_user
from auth_service.passwords.own_format import UNKNOWN_PEPPER, OwnFormat
from auth_service.sessions.model import MAX_SESSIONS
from auth_service.sessions.token_digests import TokenDigests
from shared.keys import KeyRing
from shared.phone import E164, PhoneKeys

NOW = datetime(2026, 11, 30, tzinfo=UTC)
USER = {"id": 100015, "phone": "13800138000"}
BCRYPT = {"format": "bcrypt", "digest": "$2y$04$mIJxfrCaEI3GukZe11CiXublhEFanu5.ododkll1WphfSp6pn4zIu"}

OWN_HASH = "1$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


DIGESTS = TokenDigests(b"k" * 32)
TOKEN = "q3k8r4bq7vbcv2m1k0s8d5n1fe"


class AnyTime:
    """A hold that is long enough for every digest."""

    def require(self, recipe: Recipe) -> None: ...


def reader(*served: str, refusal_time: Any = None) -> CandidateReader:
    return CandidateReader(
        phones=PhoneKeys(b"k" * 32),
        marks=LegacyMarks(b"k" * 32),
        countries=Countries("86", served or ("86",)),
        refusal_time=refusal_time or AnyTime(),
        own_format=OwnFormat(KeyRing.parse("1:" + "a1" * 32)),
        digests=DIGESTS,
        now=lambda: NOW,
    )


def user(**fields: Any) -> ImportedUser:
    return read_user(json.dumps(USER | fields).encode())


def candidate(**fields: Any) -> Candidate:
    return reader().read(1, user(**fields))


def refusal(content: bytes) -> tuple[Reason, str]:
    with pytest.raises(LineRefusedError) as refused:
        reader().read(1, read_user(content))
    return refused.value.reason, refused.value.detail


def refusal_of(**fields: Any) -> tuple[Reason, str]:
    return refusal(json.dumps(USER | fields).encode())


def test_a_file_is_read_in_batches_with_the_number_of_each_line() -> None:
    batches = list(read_batches(io.BytesIO(b"a\n\nb\r\n  \nc\nd"), BatchSize(threads=1, rate=4)))

    assert [[(line.number, line.content.strip()) for line in batch.lines] for batch in batches] == [
        [(1, b"a"), (3, b"b")],
        [(5, b"c"), (6, b"d")],
    ]
    assert [batch.bytes_read for batch in batches] == [6, 12]


def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() -> None:
    long = b"x" * (3 * MAX_LINE_BYTES)
    (batch,) = read_batches(io.BytesIO(long + b"\nnext\n" + long), BatchSize(threads=1, rate=500))

    assert [(line.number, len(line.content)) for line in batch.lines] == [
        (1, MAX_LINE_BYTES + 1),
        (2, 5),
        (3, MAX_LINE_BYTES + 1),
    ]
    assert batch.bytes_read == 2 * len(long) + 6
    assert refusal(batch.lines[0].content) == (Reason.TOO_LONG, "")


def test_an_empty_file_has_no_batch() -> None:
    assert list(read_batches(io.BytesIO(b"\n\n"), BatchSize(threads=1, rate=500))) == []


@pytest.mark.parametrize(
    ("threads", "rate", "lines"),
    [
        (1, 500, LINES_A_THREAD),
        (2, 500, 250),
        (2, 30, 15),
        (2, 1, 1),
        (64, 1_000_000, MAX_BATCH_LINES),
    ],
)
def test_a_batch_of_new_users_keeps_threads_busy_or_is_half_a_second_of_the_rate(
    threads: int, rate: int, lines: int
) -> None:
    size = BatchSize(threads, rate)
    size.note(imported=lines)

    assert size.lines == lines


def test_batches_grow_while_the_users_of_a_file_are_there_and_shrink_with_the_first_new_one() -> None:
    size = BatchSize(threads=1, rate=500)
    file, sizes = io.BytesIO(b"{}\n" * 1_000), []

    for batch, imported in zip(read_batches(file, size), (0, 0, 0, 0, 1, 0), strict=False):
        sizes.append(len(batch.lines))
        size.note(imported)

    assert sizes == [128, 256, 256, 256, 104]


def test_a_byte_order_mark_is_ignored() -> None:
    assert read_user(b"\xef\xbb\xbf" + json.dumps(USER).encode()).id == 100015


def test_fields_that_are_left_out_are_those_of_a_new_account() -> None:
    new = candidate()

    assert (new.user_id, new.phone, new.digest, new.name_key) == (100015, "+8613800138000", None, None)
    assert (new.created_at, new.last_seen_at, new.banned_at) == (NOW, NOW, None)
    assert (new.user.nickname, new.user.discoverable, new.user.gender) == (None, True, "none")


@pytest.mark.parametrize(
    "spelling", ["138 0013 8000", "+86-138-0013-8000", "0086 13800138000", "１３８００１３８０００", 13800138000]
)
def test_a_number_may_have_any_spelling(spelling: str | int) -> None:
    assert candidate(phone=spelling).phone == "+8613800138000"


def test_numbers_of_other_countries_are_imported_where_they_are_served() -> None:
    assert refusal_of(phone="+85261234567") == (Reason.NUMBER_REFUSED, "")
    assert reader("86", "852").read(1, user(phone="+85261234567")).phone == E164("+85261234567")


@pytest.mark.parametrize("moment", ["2019-03-05T10:20:30+08:00", "2019-03-05 02:20:30", 1551752430, 1551752430000])
def test_a_time_is_iso_8601_or_seconds_or_milliseconds(moment: str | int) -> None:
    assert candidate(created_at=moment).created_at == datetime(2019, 3, 5, 2, 20, 30, tzinfo=UTC)


def test_a_clock_that_is_ahead_is_forgiven_and_a_time_of_another_day_is_not() -> None:
    assert candidate(last_seen_at=(NOW + timedelta(hours=5)).isoformat()).last_seen_at == NOW
    assert refusal_of(created_at=(NOW + timedelta(days=2)).isoformat()) == (Reason.FIELD_INVALID, "created_at")


@pytest.mark.parametrize(
    ("fields", "banned"),
    [
        ({}, False),
        ({"banned": True}, True),
        ({"banned_until": "2027-01-01T00:00:00Z"}, True),
        ({"banned": True, "banned_until": "2020-01-01T00:00:00Z"}, False),
    ],
)
def test_a_ban_holds_until_its_end(fields: dict[str, Any], banned: bool) -> None:
    assert (candidate(**fields).banned_at is not None) is banned


def test_empty_names_are_none() -> None:
    assert (user(name="").name, user(nickname="  ").nickname) == (None, None)


def test_a_user_with_a_text_as_id_gets_a_new_user_id() -> None:
    assert candidate(id="abc-def").user_id in NEW_USER_IDS


def test_ids_from_one_to_the_largest_exact_number_of_javascript_are_kept() -> None:
    assert [candidate(id=each).user_id for each in (1, 2**47, 2**53 - 1)] == [1, 2**47, 2**53 - 1]


def test_a_mark_is_of_the_id_and_the_key_and_does_not_show_them() -> None:
    marks = LegacyMarks(b"k" * 32)
    assert marks.of(7) == marks.of("7") != marks.of("8")
    assert marks.of(7) != LegacyMarks(b"j" * 32).of(7)
    assert len(marks.of("x" * 100)) == 16


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 0}, {"id": -1}, {"id": 2**53}, {"id": 1.5}, {"id": True}, {"id": ""}, {"id": None}, {"phone": None},
        {"name": "x" * 33}, {"nickname": "a\nb"}, {"gender": "x"}, {"avatar": "javascript:alert(1)"}, {"level": 2**31},
        {"created_at": "0000-00-00 00:00:00"}, {"banned": "maybe"}, {"created_at": "0001-01-01T00:00:00+08:00"}, {"created_at": "1900-01-01"}, {"created_at": "9999-12-31T23:59:59-08:00"},
        {"nickname": "a\0b"}, {"email": "x" * 255}, {"discoverable": 7},
    ],
    ids=str,
)  # fmt: skip
def test_a_field_that_is_not_right_is_named(fields: dict[str, Any]) -> None:
    reason, detail = refusal_of(**fields)
    assert (reason, detail.split(".")[0]) == (Reason.FIELD_INVALID, next(iter(fields)))


@pytest.mark.parametrize("missing", ["id", "phone"])
def test_a_field_that_is_missing_is_named(missing: str) -> None:
    line = json.dumps({key: value for key, value in USER.items() if key != missing}).encode()
    assert refusal(line) == (Reason.FIELD_INVALID, missing)


def test_a_field_of_no_meaning_is_named_and_its_content_is_not() -> None:
    assert refusal_of(pasword="secret") == (Reason.FIELD_INVALID, "unknown field pasword")
    assert refusal_of(**{"13800138000": "x"}) == (Reason.FIELD_INVALID, "unknown field ")


def session(**fields: Any) -> ImportedSession:
    (found,) = candidate(sessions=[{"token": TOKEN} | fields]).sessions.live
    return found


def test_a_session_has_the_digest_of_its_token_its_client_and_its_times() -> None:
    found = session(client="iPhone", created_at=1_700_000_000, expires_at="2027-01-01T00:00:00+08:00")

    assert found.token_hash == hmac.digest(
        hmac.digest(b"k" * 32, b"imported token", "sha256"), sha256(TOKEN.encode()).digest(), "sha256"
    )
    assert (found.kind, found.client) == (TokenKind.SESSION, "iPhone")
    assert found.opened_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert found.ends_at == datetime(2026, 12, 31, 16, tzinfo=UTC)


def test_what_a_session_leaves_out_is_as_in_a_new_one() -> None:
    assert (session().client, session().opened_at, session().ends_at) == ("", NOW, None)


@pytest.mark.parametrize("token", [TOKEN, f"12|{TOKEN}", f"9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d|{TOKEN}"])
def test_a_token_and_its_sha256_are_the_same_session_with_and_without_the_id_of_its_row(token: str) -> None:
    digest = sha256(TOKEN.encode()).hexdigest()
    (known,) = candidate(sessions=[{"token_sha256": digest.upper()}]).sessions.live
    assert session(token=token).token_hash == known.token_hash


def test_a_token_that_a_line_has_twice_is_one_session() -> None:
    found = candidate(sessions=[{"token": TOKEN}, {"token": f"3|{TOKEN}"}]).sessions
    assert (len(found.live), found.crowded_out) == (1, 0)


def test_expired_sessions_are_left_out_and_counted() -> None:
    ends = [NOW, NOW - timedelta(days=1), NOW + timedelta(seconds=1)]
    sessions = [{"token": f"{TOKEN}{n}", "expires_at": end.isoformat()} for n, end in enumerate(ends)]
    found = candidate(sessions=sessions).sessions
    assert ([each.ends_at for each in found.live], found.expired) == ([ends[2]], 2)


def test_of_more_sessions_than_a_user_may_have_the_newest_are_imported() -> None:
    opened = [NOW - timedelta(days=day) for day in range(MAX_SESSIONS + 7)]
    sessions = [{"token": f"{TOKEN}{n}", "created_at": at.isoformat()} for n, at in enumerate(reversed(opened))]
    found = candidate(sessions=sessions).sessions
    assert ([each.opened_at for each in found.live], found.crowded_out) == (opened[:MAX_SESSIONS], 7)


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"token": "a b" * 10}, "sessions.token"), ({"token": "秘密" * 10}, "sessions.token"),
        ({"token": "a1" * 2049}, "sessions.token"), ({"token": "a1\n" * 10}, "sessions.token"),
        ({"token": None}, "sessions"), ({"token_sha256": "0" * 64}, "sessions"),
        ({"token": None, "token_sha256": "0" * 63}, "sessions.token_sha256"),
        ({"client": "x" * 33}, "sessions.client"), ({"kind": "access"}, "sessions.kind"),
        ({"expires_at": "soon"}, "sessions.expires_at"), ({"expires_at": None, "user": 1}, "unknown field sessions.user"),
        ({"created_at": (NOW + timedelta(days=2)).isoformat()}, "sessions.created_at"),
    ],
    ids=str,
)  # fmt: skip
def test_a_session_that_is_not_right_is_named_and_its_token_is_not(fields: dict[str, Any], detail: str) -> None:
    assert refusal_of(sessions=[{"token": f"{TOKEN}x"}, {"token": TOKEN} | fields]) == (Reason.FIELD_INVALID, detail)


def test_a_token_that_can_be_guessed_is_refused() -> None:
    assert refusal_of(sessions=[{"token": TOKEN}, {"token": "1551752430-100015"}]) == (Reason.TOKEN_GUESSABLE, "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": 1, "phone": "138', Reason.JSON_BROKEN),
        (b"", Reason.JSON_BROKEN),
        (b"[1]", Reason.FIELD_INVALID),
        ('{"id": 1, "nickname": "张三"}'.encode("gbk"), Reason.NOT_UTF8),
        ('{"id": 1}'.encode("utf-16"), Reason.NOT_UTF8),
    ],
)
def test_a_line_that_cannot_be_read_has_a_reason(line: bytes, reason: Reason) -> None:
    assert refusal(line)[0] is reason


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ({"format": "md4(p)", "digest": "00"}, Reason.PASSWORD_FORMAT_UNKNOWN),
        ({"format": "md5(p)", "digest": "2fc5a684737ce1bf7b3b239df432416e0dd07357"}, Reason.PASSWORD_MALFORMED),
        ({"format": "md5(salt+p)", "digest": "0" * 32, "salt": "xyz", "salt_encoding": "hex"}, Reason.PASSWORD_MALFORMED),
        ({"format": "haoma:0011223344556677", "digest": OWN_HASH}, Reason.PASSWORD_PEPPER_UNKNOWN),
        ({"format": "haoma:0011223344556677", "digest": "0" * 32}, Reason.PASSWORD_MALFORMED),
        ({"format": "$6$", "digest": OWN_HASH}, Reason.PASSWORD_FORMAT_UNKNOWN),
        (BCRYPT | {"digest": "$P$B" + "a" * 30}, Reason.PASSWORD_MALFORMED),
        (BCRYPT | {"of": "md5(salt+p)"}, Reason.PASSWORD_FORMAT_UNKNOWN),
        (BCRYPT | {"digest": BCRYPT["digest"].replace("$04$", "$31$")}, Reason.PASSWORD_TOO_COSTLY),
    ],
)  # fmt: skip
def test_a_password_that_cannot_be_imported_has_a_reason(password: dict[str, str], reason: Reason) -> None:
    assert refusal_of(password=password) == (reason, "")


def test_every_reason_of_a_digest_is_a_reason_of_a_line() -> None:
    """``Reason(…)`` of a word that is none would end the import instead of naming the line."""
    words = {UNKNOWN_LAYOUT, MALFORMED, TOO_COSTLY, UNKNOWN_PEPPER}
    assert {Reason(word) for word in words} <= set(Reason)


class Clock:
    """A clock that moves by a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_a_slow_digest_needs_a_hold_that_is_longer_than_its_comparison() -> None:
    with pytest.raises(LineRefusedError) as refused:
        reader(refusal_time=RefusalTimes(1.5, 0.1, Clock())).read(1, user(password=BCRYPT))
    assert (refused.value.reason, refused.value.detail) == (
        Reason.PASSWORD_TOO_SLOW, "PASSWORD_REFUSAL_SECONDS=1.65",
    )  # fmt: skip

    assert reader(refusal_time=RefusalTimes(1.65, 0.1, Clock())).read(1, user(password=BCRYPT)).digest is not None


def test_a_fast_digest_needs_no_hold_and_a_slow_one_is_measured_once() -> None:
    clock = Clock()
    times = RefusalTimes(1.65, 0.1, clock)
    slow = user(password=BCRYPT)
    reader(refusal_time=times).read(1, user(password={"format": "md5(p)", "digest": "0" * 32}))
    assert clock.now == 0

    for line in range(3):
        reader(refusal_time=times).read(line, slow)
    assert clock.now == 6


def test_no_text_shows_a_number_a_digest_or_a_token() -> None:
    sessions = [{"token": TOKEN}, {"token_sha256": "ab" * 32}]
    shown = repr(candidate(password=BCRYPT, sessions=sessions)) + repr(user(password=BCRYPT, sessions=sessions))
    assert "13800138000" not in shown
    assert TOKEN not in shown
    assert "ab" * 32 not in shown
    assert repr(bytes.fromhex("ab" * 32)) not in shown
    assert BCRYPT["digest"][-20:] not in shown
