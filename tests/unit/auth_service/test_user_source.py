"""The rules of the user source over memory: who moves in, who is absent, and what is trouble."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest
from support.login_limits import LIMITS

from auth_service.digests.model import ForeignDigest, Recipe
from auth_service.imported_sessions.model import ImportedSession
from auth_service.importing.candidates import Candidate, CandidateReader, Countries, LegacyMarks
from auth_service.importing.importer import CandidateImport, NewUser
from auth_service.importing.judgement import Claims
from auth_service.passwords.model import Bucket, StartedCheck
from auth_service.passwords.own_format import OwnFormat
from auth_service.sessions.token_digests import TokenDigests
from auth_service.user_source.absence_marks import AbsenceMarks
from auth_service.user_source.arrival import Arrival
from auth_service.user_source.look_up import LookUpInSource
from auth_service.user_source.model import Field
from auth_service.user_source.user_source import NoUserSource, UserSource
from shared.errors import ErrorCode, ServiceError, unavailable
from shared.internal_api.auth import LookedUp
from shared.internal_api.directory import LookUpElsewhere
from shared.keys import KeyRing
from shared.phone import E164, PhoneKeys

KEY = b"k" * 32
PHONE = E164("+8613800138000")
PHONES, MARKS = PhoneKeys(KEY), AbsenceMarks(KEY)
UCENTER = {"format": "md5(md5(p)+salt)", "digest": "16780ba78d2d5f02f3202901c1b6d975", "salt": "568"}


class AnyTime:
    def require(self, recipe: Recipe) -> None: ...


def reader_for(countries: Countries) -> CandidateReader:
    return CandidateReader(
        phones=PHONES,
        marks=LegacyMarks(KEY),
        countries=countries,
        refusal_time=AnyTime(),
        own_format=OwnFormat(KeyRing.parse("1:" + "a1" * 32)),
        digests=TokenDigests(KEY),
        now=lambda: datetime(2026, 11, 30, tzinfo=UTC),
    )


@dataclass
class Scene:
    """A user source with the lines ``users``, by number or name, over accounts in memory."""

    users: dict[str, bytes] = field(default_factory=dict)
    accounts: list[NewUser] = field(default_factory=list)
    marks: dict[bytes, int | None] = field(default_factory=dict)
    absent: set[bytes] = field(default_factory=set)
    questions: list[tuple[str, str]] = field(default_factory=list)
    is_down: bool = False
    woken: int = 0

    @property
    def user_source(self) -> UserSource:
        arrival = Arrival(CandidateImport(self, self.wrap_all), reader_for, self.wake)
        return UserSource(self, self, arrival, MARKS, PHONES)

    def wake(self) -> None:
        self.woken += 1

    async def fetch(self, field: Field, value: str) -> bytes | None:
        self.questions.append((field, value))
        await asyncio.sleep(0)
        if self.is_down:
            raise unavailable()
        return self.users.get(value)

    async def find(self, phone: E164 | None, mark: bytes) -> tuple[bool, bool]:
        return phone in {each.candidate.phone for each in self.accounts}, mark in self.absent

    async def remember(self, mark: bytes) -> None:
        self.absent.add(mark)

    async def claims(self, _: Sequence[Candidate]) -> Claims:
        claims = Claims()
        for each in self.accounts:
            claims.add(each.candidate)
        claims.marks |= self.marks
        return claims

    async def add(self, users: Sequence[NewUser], _: Sequence[tuple[int, ImportedSession]]) -> None:
        self.accounts += users

    async def wrap_all(self, digests: Sequence[ForeignDigest]) -> Sequence[str]:
        return [f"wrapped {digest.value}" for digest in digests]


def line(phone: str = PHONE, **more: Any) -> bytes:
    return json.dumps({"id": 7, "phone": phone, **more}).encode()


async def refusal(scene: Scene, phone: E164 = PHONE) -> int | None:
    """How long the refusal of an outage asks to wait."""
    with pytest.raises(ServiceError) as refused:
        await scene.user_source.has_account(phone)
    assert refused.value.code is ErrorCode.UNAVAILABLE
    assert scene.absent == set()
    return refused.value.retry_after


async def test_a_user_moves_in_with_the_wrapped_digest_and_is_not_asked_for_again() -> None:
    scene = Scene({PHONE: line(password=UCENTER)})
    user_source = scene.user_source
    assert [await user_source.has_account(PHONE) for _ in range(2)] == [True, True]
    assert [(new.candidate.user_id, new.password_hash) for new in scene.accounts] == [
        (7, f"wrapped {UCENTER['digest']}")
    ]
    assert (scene.questions, scene.woken, scene.absent) == ([("phone", PHONE)], 1, set())


async def test_a_number_that_the_source_does_not_have_is_asked_for_once() -> None:
    scene = Scene()
    assert [await scene.user_source.has_account(PHONE) for _ in range(3)] == [False] * 3
    assert len(scene.questions) == 1


async def test_callers_at_the_same_moment_share_one_question() -> None:
    scene = Scene({PHONE: line()})
    user_source = scene.user_source
    assert await asyncio.gather(*(user_source.has_account(PHONE) for _ in range(20))) == [True] * 20
    assert (len(scene.questions), len(scene.accounts)) == (1, 1)


async def test_trouble_is_an_outage_and_is_not_remembered() -> None:
    scene = Scene({PHONE: line()}, is_down=True)
    assert await refusal(scene) == 1
    scene.is_down = False
    assert await scene.user_source.has_account(PHONE)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"<html>Welcome</html>",
        b"\xff\xfe",
        b" " * 70_000,
        line("13800138001"),  # another user's number
        line("+85251234567"),
        line(unknown=1),
        line(sessions=[{"token": "1234"}]),
        line(password={"format": "rot13", "digest": "x"}),
        line() + b"\n" + line("13800138001"),
    ],
)
async def test_an_answer_that_is_no_line_of_this_number_is_an_outage_and_imports_no_one(answer: bytes) -> None:
    scene = Scene({PHONE: answer})
    assert await refusal(scene) == 60
    assert scene.accounts == []


async def test_the_number_of_another_country_is_read_as_its_users_write_it() -> None:
    phone = E164("+85251234567")
    scene = Scene({phone: line("5123 4567")})
    assert await scene.user_source.has_account(phone)
    assert [new.candidate.phone for new in scene.accounts] == [phone]


@pytest.mark.parametrize("user_id", [None, 7])
async def test_who_erased_their_account_or_changed_their_number_here_does_not_come_back(user_id: int | None) -> None:
    scene = Scene({PHONE: line()}, marks={LegacyMarks(KEY).of(7): user_id})
    assert [await scene.user_source.has_account(PHONE) for _ in range(2)] == [False, False]
    assert (len(scene.questions), scene.accounts) == (1, [])


async def test_a_name_of_the_source_counts_as_taken_and_imports_no_one() -> None:
    scene = Scene({"Ada": b"anything"})
    assert await scene.user_source.has_name("Ada")
    assert [await scene.user_source.has_name(name) for name in ("Bob", "ＢＯＢ", "bob")] == [False] * 3
    assert scene.questions == [("name", "Ada"), ("name", "Bob")]
    assert scene.accounts == []


def test_a_mark_tells_numbers_from_names_and_nothing_without_the_key() -> None:
    marks = {MARKS.of_phone(PHONE), MARKS.of_name(PHONE), AbsenceMarks(b"x" * 32).of_phone(PHONE)}
    assert len(marks) == 3
    assert {len(mark) for mark in marks} == {16}


async def test_without_a_user_source_no_one_is_elsewhere() -> None:
    source = NoUserSource()
    assert source.elsewhere([True, False]) == []
    assert not await source.has_account(PHONE)
    assert not await source.has_name("Ada")


async def test_numbers_without_an_account_are_elsewhere_and_all_of_them_if_the_time_is_not_to_tell() -> None:
    scene = Scene()
    arrival = Arrival(CandidateImport(scene, scene.wrap_all), reader_for, scene.wake)
    for looks_up_all, elsewhere in ((False, [False, True]), (True, [True, True])):
        source = UserSource(scene, scene, arrival, MARKS, PHONES, looks_up_all=looks_up_all)
        assert source.elsewhere([True, False]) == elsewhere


@dataclass
class Counters:
    """The limits on look-ups, in memory."""

    retry_after: int = 0
    names: list[str] = field(default_factory=list)

    async def start(self, _phone: E164, buckets: Sequence[Bucket], _network: int | None) -> StartedCheck:
        self.names += [bucket.name for bucket in buckets]
        return StartedCheck(None, self.retry_after)

    async def refund(self, _: object) -> None:
        raise AssertionError("a look-up is never refunded")


@dataclass
class Sleeper:
    slept: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


async def nothing_here(phones: Sequence[str]) -> LookedUp:
    return LookedUp(registered=[False] * len(phones), known_networks=[[] for _ in phones])


def look_up(scene: Scene, counters: Counters, sleeper: Sleeper, seconds: float = 0) -> LookUpInSource:
    return LookUpInSource(
        scene.user_source, counters, LIMITS, look_up_here=nothing_here, seconds=seconds, sleep=sleeper
    )


REQUEST = LookUpElsewhere(phone=PHONE, address=ip_address("2001:db8::1"), app="shop")


async def test_a_look_up_counts_on_network_site_and_app_before_the_source_is_asked() -> None:
    scene, counters = Scene(), Counters()
    await look_up(scene, counters, Sleeper()).look_up(REQUEST)
    await look_up(scene, counters, Sleeper()).look_up(REQUEST)  # one that is known to be absent counts too
    names = ["look-ups app shop", "look-ups network 2001:db8::/48", "look-ups network 2001:db8::/56"]
    assert counters.names == names * 2

    with pytest.raises(ServiceError) as refused:
        await look_up(other := Scene(), Counters(retry_after=9), Sleeper()).look_up(REQUEST)
    assert (refused.value.code, refused.value.retry_after, other.questions) == (ErrorCode.CALLER_LIMIT, 9, [])


async def test_an_answer_takes_as_long_as_the_setting_says() -> None:
    sleeper = Sleeper()
    await look_up(Scene(), Counters(), sleeper, 1000).look_up(REQUEST)
    await look_up(Scene(), Counters(), sleeper, 0).look_up(REQUEST)
    assert [round(seconds, -2) for seconds in sleeper.slept] == [1000, 0]
