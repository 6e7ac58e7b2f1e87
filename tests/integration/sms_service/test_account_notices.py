"""Codes for numbers whose account may be disclosed only after proof: what is sent, and what the caller can see."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from random import Random
from typing import Any
from uuid import UUID

import pytest
from support.sms import (
    NETWORKS,
    PHONES,
    SEAL,
    CodeCalls,
    OnlySourceNetworks,
    Recorder,
    Sms,
    asking,
    entering,
    fresh_number,
    refusal,
    running,
    wrong,
)

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import SpentTickets
from shared.internal_api.sms import AccountNotice, CodeIssued, IssueCode, Language, Purpose
from shared.networks import RequestSource
from shared.phone import E164
from shared.postgres import Pool
from sms_service.explain.explain import Explainer
from sms_service.explain.history_store import HistoryStore
from sms_service.explain.render_text import render_text
from sms_service.verification.models import WITHHELD

SIGN_UP, RESET = Purpose.SIGN_UP, Purpose.RESET_PASSWORD
REGISTERED, NO_ACCOUNT = AccountNotice.REGISTERED, AccountNotice.NO_ACCOUNT
HOME = "203.0.113.7"
"""The address of an owner, whose network is known to the number."""
KNOWN_NETWORKS = [NETWORKS.ref(RequestSource(ip_address(HOME)))]


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


@pytest.fixture
def codes(sms: Sms) -> CodeCalls:
    return sms.codes(OnlySourceNetworks())


def somewhere() -> str:
    """An address in a network that no other test uses."""
    return f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.7"


def request(number: E164, purpose: Purpose, *, registered: bool, **more: Any) -> IssueCode:
    """A request as the gateway makes it where accounts are disclosed only after proof."""
    if purpose is SIGN_UP:
        return asking(number, purpose, notice=REGISTERED if registered else AccountNotice.NONE, **more)
    known = {"known_networks": KNOWN_NETWORKS} if registered else {"notice": NO_ACCOUNT}
    return asking(number, purpose, registered=True, **known, **more)


async def states(sms: Sms, number: E164) -> list[tuple[str, str]]:
    """The state and the failure of each message to a number, oldest first."""
    return [(row["state"], row["failure"]) for row in await sms.sends(number)]


@pytest.mark.parametrize(
    ("purpose", "registered", "language", "words"),
    [
        (SIGN_UP, True, Language.CHINESE, "您已有账号，请登录。"),
        (SIGN_UP, True, Language.ENGLISH, "You already have an account."),
        (RESET, False, Language.CHINESE, "您还没有账号，请先注册。"),
        (RESET, False, Language.ENGLISH, "This number has no account."),
        (SIGN_UP, False, Language.ENGLISH, "is your code to sign up"),
        (RESET, True, Language.ENGLISH, "is your code to reset your password"),
    ],
)
async def test_the_message_tells_the_owner_of_the_number_and_has_a_code_that_works(
    sms: Sms, codes: CodeCalls, purpose: Purpose, registered: bool, language: Language, words: str
) -> None:
    number, recorder = fresh_number(), Recorder()
    issued = await codes.issue(request(number, purpose, registered=registered, language=language))
    (message,) = await sms.sends(number)
    await sms.delivery(recorder).deliver(message["message_id"])

    (sent,) = recorder.messages
    assert words in sent.text
    assert sent.code in sent.text
    assert sent.code == issued.code
    assert (await codes.check(entering(number, sent.code, purpose))).ticket


async def test_strangers_have_no_more_sent_to_an_owner_than_their_share_and_are_answered_all_the_same(
    sms: Sms, codes: CodeCalls
) -> None:
    number, recorder = fresh_number(), Recorder()
    stranger = somewhere()
    for _ in range(4):
        assert (await codes.issue(request(number, SIGN_UP, registered=True, address=stranger))).expires_in > 0
        await sms.age(number, seconds=61)
    assert await states(sms, number) == [("queued", ""), ("queued", ""), ("failed", WITHHELD), ("failed", WITHHELD)]
    for _ in range(6):
        await codes.issue(request(number, SIGN_UP, registered=True, address=somewhere()))
        await sms.age(number, seconds=61)

    assert Counter(state for state, _ in await states(sms, number)) == {"queued": 6, "failed": 4}
    withheld = [message for message in await sms.sends(number) if message["failure"] == WITHHELD]
    assert all(message["phone_sealed"] is None and message["finished_at"] for message in withheld)
    for message in withheld:
        await sms.delivery(recorder).deliver(message["message_id"])
    assert recorder.messages == []


async def test_strangers_who_register_the_number_leave_its_owner_four_codes_a_day(sms: Sms, codes: CodeCalls) -> None:
    number = fresh_number()
    for _ in range(10):
        await codes.issue(request(number, SIGN_UP, registered=True, address=somewhere()))
        await sms.age(number, seconds=61)
    for _ in range(4):
        await codes.issue(request(number, RESET, registered=True, address=HOME))
        await sms.age(number, seconds=61)

    refused = await refusal(codes.issue(request(number, RESET, registered=True, address=HOME)))
    assert refused.code is ErrorCode.DAILY_CAP


async def test_strangers_who_register_the_number_start_six_cooldowns_a_day_for_its_owner_and_show_it_to_no_other(
    sms: Sms, codes: CodeCalls
) -> None:
    number, cooldowns = fresh_number(), list[bool]()
    for _ in range(10):
        await codes.issue(request(number, SIGN_UP, registered=True, address=somewhere()))
        error = await refusal(codes.issue(request(number, SIGN_UP, registered=True, address=somewhere())))
        assert error.code is ErrorCode.COOLDOWN
        cooldowns.append(await in_cooldown(sms, codes, number))
        await sms.age(number, seconds=61)

    assert cooldowns == [True] * 6 + [False] * 4


async def in_cooldown(sms: Sms, codes: CodeCalls, number: E164) -> bool:
    """Whether the owner, at home, is kept from a code. If not, the code that they got is taken back."""
    columns = "sends, send_networks, send_dialects, withheld_sends"
    before = await sms.pool.fetchrow(f"select {columns} from number_activity where phone_ref = $1", PHONES.ref(number))
    try:
        await codes.issue(request(number, RESET, registered=True, address=HOME))
    except ServiceError as error:
        assert error.code is ErrorCode.COOLDOWN
        return True
    restore = f"update number_activity set ({columns}) = ($2, $3, $4, $5) where phone_ref = $1"
    await sms.pool.execute(restore, PHONES.ref(number), *before)
    return False


Seen = tuple[Any, ...]


class Stranger:
    """What strangers in a few networks see of one number."""

    def __init__(self, sms: Sms, codes: CodeCalls, purpose: Purpose, *, registered: bool) -> None:
        self.number = fresh_number()
        self._sms, self._codes, self._purpose, self._registered = sms, codes, purpose, registered
        self._issued: list[CodeIssued] = []

    async def ask(self, address: str) -> Seen:
        """Whether a code is sent, and which of the challenges so far it belongs to."""
        made = request(self.number, self._purpose, registered=self._registered, address=address)
        try:
            issued = await self._codes.issue(made)
        except ServiceError as error:
            return error.code, error.retry_after
        ids = [each.verification_id for each in self._issued]
        self._issued.append(issued)
        at = ids.index(issued.verification_id) if issued.verification_id in ids else None
        return issued.expires_in, issued.resend_after, at

    async def guess(self, address: str, *, by_challenge: bool) -> Seen:
        if not self._issued:
            return ()
        subject: UUID | None = self._issued[-1].verification_id if by_challenge else None
        check = entering(
            None if by_challenge else self.number,
            wrong(self._issued[-1].code),
            self._purpose,
            address=address,
            verification_id=subject,
        )
        error = await refusal(self._codes.check(check))
        return error.code, error.tries_left, error.is_limited

    async def age(self, minutes: float) -> Seen:
        await self._sms.age(self.number, minutes=minutes)
        return ()


def differs(one: Seen, other: Seen) -> bool:
    """Whether two answers differ by more than the second that may pass between them."""
    if len(one) != len(other):
        return True
    return any(
        abs(a - b) > 1 if isinstance(a, int) and isinstance(b, int) else a != b for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("purpose", [SIGN_UP, RESET])
async def test_strangers_see_the_same_with_and_without_an_account_in_any_sequence_of_calls(
    sms: Sms, codes: CodeCalls, purpose: Purpose, seed: int
) -> None:
    draw = Random(seed)
    pair = [Stranger(sms, codes, purpose, registered=registered) for registered in (True, False)]
    networks = [somewhere() for _ in range(draw.choice([1, 3, 8]))]
    for _ in range(60):
        address, step = draw.choice(networks), draw.choice("aaaggggct")
        by_challenge, minutes = draw.random() < 0.7, draw.choice([1.05, 1.05, 6, 13, 130])
        if step == "a":
            seen = [await each.ask(address) for each in pair]
        elif step in "gc":
            seen = [await each.guess(address, by_challenge=by_challenge) for each in pair]
        else:
            seen = [await each.age(minutes) for each in pair]
        assert not differs(*seen), (step, seen)


@pytest.mark.parametrize("purpose", [SIGN_UP, RESET])
async def test_both_branches_run_the_same_statements_and_write_the_same_rows(
    sms: Sms, codes: CodeCalls, purpose: Purpose
) -> None:
    await codes.issue(request(fresh_number(), purpose, registered=True, address=somewhere()))  # reads the clock
    traces = []
    for registered in (True, False):
        number = fresh_number()
        before = await rows(sms)
        async with recorded(sms.pool) as statements:
            issued = await codes.issue(request(number, purpose, registered=registered, address=somewhere()))
            await refusal(codes.check(entering(number, wrong(issued.code), purpose, address=somewhere())))
            await sms.age(number, seconds=61)
            await codes.issue(request(number, purpose, registered=registered, address=somewhere()))
        traces.append((statements, {table: count - before[table] for table, count in (await rows(sms)).items()}))

    assert len(traces[0][0]) > 5
    assert traces[0] == traces[1]


OF_ASYNCPG = ("pg_catalog.", "set_config('jit'")
"""In the statements with which asyncpg reads a type when a new connection uses it for the first time."""


@asynccontextmanager
async def recorded(pool: Pool) -> AsyncIterator[list[str]]:
    """The statements that run during the block, on the one connection that calls made in turn use."""
    statements: list[str] = []

    def record(query: Any) -> None:
        if not any(part in query.query for part in OF_ASYNCPG):
            statements.append(query.query)

    connection = await pool.acquire()
    connection.add_query_logger(record)
    pool.release(connection, intact=True)
    yield statements
    connection.remove_query_logger(record)


async def rows(sms: Sms) -> dict[str, int]:
    """How many rows each table has that requests and checks write."""
    tables = ("number_activity", "verifications", "verification_events", "messages", "outbox")
    return {table: await sms.pool.fetchval(f"select count(*) from {table}") for table in tables}


class NoTickets:
    """A fake of auth-service for an explainer: no ticket was used."""

    async def spent(self, verification_ids: Sequence[UUID]) -> SpentTickets:  # noqa: ARG002  the port names it
        return SpentTickets(tickets=[], known_since=datetime.now(UTC) - timedelta(days=1))


async def explained(sms: Sms, number: E164) -> str:
    return render_text(await Explainer(HistoryStore(sms.pool), NoTickets(), PHONES, SEAL).explain(number, days=1))


@pytest.mark.parametrize(
    ("purpose", "registered", "words"),
    [(SIGN_UP, True, "told the owner that they have an account"), (RESET, False, "told the owner that the number has")],
)
async def test_explain_says_what_the_owner_was_told(
    sms: Sms, codes: CodeCalls, purpose: Purpose, registered: bool, words: str
) -> None:
    number = fresh_number()
    await codes.issue(request(number, purpose, registered=registered))
    (message,) = await sms.sends(number)
    await sms.delivery(Recorder()).deliver(message["message_id"])

    out = await explained(sms, number)
    assert f"{words}" in out
    assert "=> recorder accepted the message" in out


async def test_explain_says_why_nothing_was_sent_and_that_the_caller_was_not_told(sms: Sms, codes: CodeCalls) -> None:
    number, stranger = fresh_number(), somewhere()
    for _ in range(3):
        await codes.issue(request(number, SIGN_UP, registered=True, address=stranger))
        await sms.age(number, seconds=61)

    out = await explained(sms, number)
    assert "sent nothing, because the owner was told often enough that they have an account" in out
    assert "=> The message was not sent, because the owner was told often enough" in out
