"""The import and the dry run over memory: who is imported, once, and what is reported."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from auth_service.digests.model import ForeignDigest, PresentedPassword, Recipe
from auth_service.imported_sessions.model import ImportedSession, SessionOutcome
from auth_service.importing.candidates import Candidate, CandidateReader, Countries, LegacyMarks
from auth_service.importing.importer import MAX_ATTEMPTS, ClaimsChangedError, DryRun, Importer, NewUser
from auth_service.importing.judgement import Claims
from auth_service.importing.known_passwords import KnownPasswords
from auth_service.importing.lines import Line, LineBatch
from auth_service.importing.refusals import LineRefusedError, Reason
from auth_service.importing.report import Report
from auth_service.passwords.own_format import OwnFormat
from auth_service.sessions.token_digests import TokenDigests, imported_sha256
from shared.errors import ErrorCode, ServiceError
from shared.keys import KeyRing
from shared.phone import PhoneKeys

NOW = datetime(2026, 11, 30, tzinfo=UTC)
UCENTER = {"format": "md5(md5(p)+salt)", "digest": "16780ba78d2d5f02f3202901c1b6d975", "salt": "568"}
OWN = {
    "format": "haoma:109be45b9540c908",
    "digest": "1$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
}
SHA1 = {"format": "sha1(p+salt)", "digest": "2fc5a684737ce1bf7b3b239df432416e0dd07357", "salt": "2014"}


@dataclass
class Accounts:
    """A repository in memory. ``rivals`` registrations come between the claims and the writing."""

    users: list[NewUser] = field(default_factory=list)
    erased: set[bytes] = field(default_factory=set)
    rivals: int = 0
    hashed: list[int] = field(default_factory=list)
    sessions: list[tuple[int, ImportedSession]] = field(default_factory=list)
    tokens: dict[bytes, int] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)

    async def claims(self, _: Sequence[Candidate]) -> Claims:
        claims = Claims(tokens=dict(self.tokens), closed=set(self.closed))
        for new in self.users:
            claims.add(new.candidate)
        claims.marks |= dict.fromkeys(self.erased)
        return claims

    async def add(self, users: Sequence[NewUser], sessions: Sequence[tuple[int, ImportedSession]]) -> None:
        if self.rivals:
            self.rivals -= 1
            raise ClaimsChangedError
        self.users += users
        self.sessions += sessions
        self.tokens |= {session.token_hash: user_id for user_id, session in sessions}

    async def wrap_all(self, digests: Sequence[ForeignDigest]) -> Sequence[str]:
        self.hashed.append(len(digests))
        return [f"wrapped {digest.value}" for digest in digests]


@dataclass
class Output:
    """What was named."""

    errors: list[tuple[int, Reason]] = field(default_factory=list)
    ids: list[tuple[int | str, int]] = field(default_factory=list)

    def refused(self, line: int, error: LineRefusedError) -> None:
        self.errors.append((line, error.reason))

    def mapped(self, legacy_id: int | str, user_id: int) -> None:
        self.ids.append((legacy_id, user_id))


class AnyTime:
    def require(self, recipe: Recipe) -> None: ...


DIGESTS = TokenDigests(b"k" * 32)
READER = CandidateReader(
    phones=PhoneKeys(b"k" * 32), marks=LegacyMarks(b"k" * 32), countries=Countries("86", ("86",)),
    refusal_time=AnyTime(), own_format=OwnFormat(KeyRing.parse("1:" + "a1" * 32)), digests=DIGESTS, now=lambda: NOW,
)  # fmt: skip


def batch(*users: dict[str, Any] | bytes, first: int = 1) -> LineBatch:
    contents = (each if isinstance(each, bytes) else json.dumps(each).encode() for each in users)
    return LineBatch(tuple(Line(number, each) for number, each in enumerate(contents, start=first)), 0)


def person(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number, "phone": f"138{number:08d}"} | more


async def matches_hash(password_hash: str, password: PresentedPassword) -> bool:
    return (password_hash, password.plain) == (OWN["digest"], "correct horse")


@dataclass
class Scene:
    accounts: Accounts = field(default_factory=Accounts)
    report: Report = field(default_factory=Report)
    output: Output = field(default_factory=Output)

    async def run(self, *users: dict[str, Any] | bytes, first: int = 1) -> None:
        importer = Importer(self.accounts, READER, self.accounts.wrap_all, self.report, self.output)
        await importer.run(batch(*users, first=first))

    async def dry_run(self, known: KnownPasswords, *batches: LineBatch) -> None:
        run = DryRun(self.accounts, READER, known, self.report, self.output, matches_hash=matches_hash)
        for each in batches:
            await run.run(each)


async def test_a_user_is_written_with_the_wrapped_digest_or_without_a_password() -> None:
    scene = Scene()
    await scene.run(person(1, password=UCENTER), person(2))

    assert [(new.candidate.user_id, new.password_hash) for new in scene.accounts.users] == [
        (1, f"wrapped {UCENTER['digest']}"), (2, None),
    ]  # fmt: skip
    assert scene.report.formats == {"md5(md5(p)+salt)": 1, "no password": 1}
    assert scene.output.ids == [(1, 1), (2, 2)]


async def test_a_hash_of_another_haoma_is_stored_as_it_is() -> None:
    scene = Scene()
    await scene.run(person(1, password=OWN), person(2, password=OWN | {"digest": OWN["digest"] + "|layout;sha1(p);"}))

    assert [new.password_hash for new in scene.accounts.users] == [OWN["digest"], OWN["digest"] + "|layout;sha1(p);"]
    assert scene.accounts.hashed == [0]
    assert scene.report.needs_plain == 1


async def test_known_passwords_are_compared_with_hashes_of_another_haoma() -> None:
    known = KnownPasswords.read([b'{"id": 1, "password": "correct horse"}', b'{"id": 2, "password": "wrong"}'])
    await Scene().dry_run(known, batch(person(1, password=OWN), person(2, password=OWN)))
    assert (known.matched, known.failed) == (1, [2])


async def test_a_repeated_line_changes_nothing_and_hashes_nothing() -> None:
    scene = Scene()
    await scene.run(person(1, password=UCENTER), person(1, password=UCENTER))
    await scene.run(person(1, password=UCENTER), first=3)

    assert len(scene.accounts.users) == 1
    assert scene.accounts.hashed == [1, 0]
    assert (scene.report.imported, scene.report.present, scene.report.lines) == (1, 2, 3)


async def test_a_user_who_was_erased_is_not_imported_again() -> None:
    scene = Scene(Accounts(erased={LegacyMarks(b"k" * 32).of(1)}))
    await scene.run(person(1))
    assert (scene.accounts.users, scene.report.erased, scene.output.ids) == ([], 1, [])


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (person(2, phone="+86 138 0000 0001"), Reason.NUMBER_TAKEN),
        (person(2, name="ＥＲＩＣ"), Reason.NAME_TAKEN),
    ],
)
async def test_what_an_earlier_line_has_is_taken_in_the_same_batch_and_in_a_later_one(
    second: dict[str, Any], reason: Reason
) -> None:
    scene = Scene()
    await scene.run(person(1, name="eric"), second)
    await scene.run(second, first=3)

    assert [new.candidate.user_id for new in scene.accounts.users] == [1]
    assert scene.output.errors == [(2, reason), (3, reason)]


async def test_an_id_that_an_account_has_is_taken() -> None:
    scene = Scene()
    await scene.run(person(1))
    scene.accounts.claims = _claims(Claims(user_ids={1}))  # type: ignore[method-assign]

    await scene.run(person(1, phone="13800000009"), first=2)

    assert scene.output.errors == [(2, Reason.ID_TAKEN)]


def _claims(claims: Claims) -> Any:
    async def of(_: Sequence[Candidate]) -> Claims:
        return claims

    return of


async def test_refused_lines_are_named_in_their_order_and_the_others_are_imported() -> None:
    scene = Scene()
    await scene.run(person(1), b'{"id": 2, "pho', person(3, phone="13800000001"), person(4, phone="12345"), person(5))

    assert [new.candidate.user_id for new in scene.accounts.users] == [1, 5]
    assert scene.output.errors == [(2, Reason.JSON_BROKEN), (3, Reason.NUMBER_TAKEN), (4, Reason.NUMBER_REFUSED)]


async def test_a_batch_is_judged_again_when_a_registration_came_between_and_hashes_once() -> None:
    scene = Scene(Accounts(rivals=MAX_ATTEMPTS - 1))
    await scene.run(person(1, password=UCENTER))

    assert len(scene.accounts.users) == 1
    assert sum(scene.accounts.hashed) == 1
    assert scene.report.imported == 1


async def test_a_batch_that_is_never_in_peace_is_unavailable_and_counts_nothing() -> None:
    scene = Scene(Accounts(rivals=MAX_ATTEMPTS))
    with pytest.raises(ServiceError) as refusal:
        await scene.run(person(1), b"broken")
    assert refusal.value.code is ErrorCode.UNAVAILABLE
    assert (scene.report.lines, scene.output.errors) == (0, [])


async def test_a_dry_run_writes_nothing_and_finds_what_repeats_in_the_whole_file() -> None:
    scene = Scene()
    await scene.dry_run(
        KnownPasswords(),
        batch(person(1, password=SHA1)),
        batch(person(1, password=SHA1), person(2, phone="13800000001"), first=2),
    )

    assert (scene.accounts.users, scene.accounts.hashed) == ([], [])
    assert (scene.report.imported, scene.report.present, scene.report.needs_plain) == (1, 1, 1)
    assert scene.output.errors == [(3, Reason.NUMBER_TAKEN)]


async def test_known_passwords_show_a_layout_that_is_not_the_one_of_the_file() -> None:
    known = KnownPasswords.read([b'{"id": 1, "password": "hashcat"}', b'{"id": "2", "password": "hashcat"}',
                                 b'{"id": 3, "password": "hashcat"}', b'{"id": 9, "password": "x"}'])  # fmt: skip
    await Scene().dry_run(
        known,
        batch(person(1, password=UCENTER), person(2, password=UCENTER | {"format": "md5(salt+md5(p))"}), person(3)),
    )

    assert (known.matched, known.failed) == (1, [2, 3])
    assert known.texts() == [
        "known passwords: 1 match, 2 do not",
        "  the password of line 2 does not match: is its format right?",
        "  the password of line 3 does not match: is its format right?",
        "  1 users are not in the file",
    ]


def test_a_line_that_is_no_known_password_is_named() -> None:
    with pytest.raises(ValueError, match="line 2 is not an object with id and password"):
        KnownPasswords.read([b'{"id": 1, "password": "x"}', b"secret"])


async def test_the_report_counts_formats_countries_and_reasons() -> None:
    scene = Scene()
    await scene.run(person(1, password=UCENTER), person(2, password=SHA1), person(3), b"{", b"{")

    assert scene.report.texts(dry_run=False) == [
        "3 users imported, 0 were imported before or twice in the file, 0 were erased since",
        "passwords:", "  md5(md5(p)+salt): 1", "  sha1(p+salt): 1", "  no password: 1",
        "  1 of them log in with plain text only, until their first log-in",
        "countries:", "  +86: 3",
        "2 lines refused:", "  json_broken: 2",
    ]  # fmt: skip
    assert scene.report.texts(dry_run=True)[0].startswith("3 users would be imported")


TOKENS = ["q3k8r4bq7vbcv2m1k0s8d5n1fe", "0f8fad5b-d9cb-469f-a165-70867728950e", "5d7845ac6ee7cfffafc5fe5f35cf666d"]
FIRST, SECOND, THIRD = ({"token": token, "expires_at": "2027-01-01"} for token in TOKENS)


async def test_the_sessions_of_a_user_are_added_once() -> None:
    scene = Scene()
    await scene.run(person(1, sessions=[FIRST, SECOND]), person(1, sessions=[FIRST, SECOND]))
    await scene.run(person(1, sessions=[FIRST, SECOND]), first=3)

    assert [(user_id, each.token_hash) for user_id, each in scene.accounts.sessions] == [
        (1, DIGESTS.imported(imported_sha256(token))) for token in TOKENS[:2]
    ]
    assert scene.report.sessions == {SessionOutcome.NEW: 2, SessionOutcome.PRESENT: 4} | dict.fromkeys(
        (SessionOutcome.CLOSED, SessionOutcome.EXPIRED, SessionOutcome.CROWDED_OUT), 0
    )


async def test_a_later_file_adds_the_sessions_that_it_has_more() -> None:
    scene = Scene()
    await scene.run(person(1, sessions=[FIRST]), person(2))
    await scene.run(person(1, sessions=[FIRST, SECOND]), person(2, sessions=[THIRD]), first=3)

    assert [user_id for user_id, _ in scene.accounts.sessions] == [1, 1, 2]
    assert (scene.report.imported, scene.report.present) == (2, 2)


async def test_a_user_whose_sessions_were_all_ended_gets_no_more() -> None:
    scene = Scene()
    await scene.run(person(1, sessions=[FIRST]))
    scene.accounts.closed.add(1)
    await scene.run(person(1, sessions=[FIRST, SECOND]), first=2)

    assert len(scene.accounts.sessions) == 1
    assert (scene.report.sessions[SessionOutcome.PRESENT], scene.report.sessions[SessionOutcome.CLOSED]) == (1, 1)


async def test_a_banned_user_and_an_erased_one_get_none() -> None:
    scene = Scene(Accounts(erased={LegacyMarks(b"k" * 32).of(2)}))
    await scene.run(person(1, banned=True, sessions=[FIRST]), person(2, sessions=[SECOND]))

    assert (scene.accounts.sessions, scene.report.sessions[SessionOutcome.CLOSED]) == ([], 1)


async def test_a_token_of_two_users_is_refused_by_its_line_in_the_same_batch_and_in_a_later_one() -> None:
    scene = Scene()
    await scene.run(person(1, sessions=[FIRST]), person(2, sessions=[SECOND, FIRST]), person(3, sessions=[SECOND]))
    await scene.run(person(4, sessions=[FIRST]), person(1, sessions=[SECOND]), first=4)

    assert [new.candidate.user_id for new in scene.accounts.users] == [1, 3]
    assert scene.output.errors == [(2, Reason.TOKEN_TAKEN), (4, Reason.TOKEN_TAKEN), (5, Reason.TOKEN_TAKEN)]


async def test_a_token_that_is_one_of_ours_is_refused() -> None:
    scene = Scene(Accounts(tokens={imported_sha256(TOKENS[0]): 2**50}))
    await scene.run(person(1, sessions=[FIRST]))
    assert scene.output.errors == [(1, Reason.TOKEN_TAKEN)]


async def test_a_dry_run_finds_a_token_of_two_users_in_the_whole_file_and_counts_sessions() -> None:
    scene = Scene()
    expired = THIRD | {"expires_at": "2026-01-01"}
    await scene.dry_run(
        KnownPasswords(),
        batch(person(1, sessions=[FIRST, expired])),
        batch(person(2, sessions=[FIRST]), person(1, sessions=[FIRST]), first=2),
    )

    assert scene.output.errors == [(2, Reason.TOKEN_TAKEN)]
    assert scene.report.texts(dry_run=True)[-6:] == [
        "sessions:", "  new: 1", "  imported before: 1", "  expired: 1", "1 lines refused:", "  token_taken: 1",
    ]  # fmt: skip
