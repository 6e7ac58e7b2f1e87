"""``explain`` tells the true story of a number, from the rows that the real rules, workers and receipts have left."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from support.sms import BOOTH, PHONES, Recorder, Sms, asking, entering, fresh_number, refusal, running, wrong
from support.spending import SpendingHarness, make_plan, make_sender, random_number, random_range

from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events import new_id
from shared.internal_api.auth import SpentTicket, SpentTickets
from shared.internal_api.sms import CodeIssued, Purpose
from shared.phone import E164, mask
from sms_service import retention
from sms_service.callers.rate_limits import Unlimited
from sms_service.delivery.delivery import Delivery
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.delivery.routing import Route
from sms_service.delivery.sender_pool import SenderPool
from sms_service.explain.build_report import AUTH_FORGOT, AUTH_SILENT, FULL, NOT_SPENT, SAMPLED
from sms_service.explain.explain import UNKNOWN, Explainer
from sms_service.explain.history_store import HistoryStore
from sms_service.explain.render_text import render_text
from sms_service.explain.report import DiagnosisKind, Report
from sms_service.receipts.receipts import Receipts
from sms_service.receipts.store import ReceiptStore
from sms_service.retention import purge
from sms_service.retention_store import RetentionStore
from sms_service.senders.port import DeliveryStatus, Outcome, Receipt
from sms_service.spending.gate import NoSpendingLimits, PrefixState, SpendingGate
from sms_service.spending.policy import Stage
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED, SPENDING_LIMITER, BlockedError
from sms_service.spending.store import SpendingStore
from sms_service.verification.audit_events import CALLER, REFUSALS_PER_DAY, UNUSABLE_CHECKS_PER_DAY
from sms_service.verification.codes import Secrets, Verifications
from sms_service.verification.store import VerificationStore
from sms_service.verification.test_numbers import TestNumber, TestNumbers


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


class Auth:
    """auth-service as an explainer asks it."""

    def __init__(self, *spent: UUID, away: bool = False, knows: timedelta = timedelta(days=1)) -> None:
        self._spent, self._away, self._knows = spent, away, knows

    async def spent(self, verification_ids: Sequence[UUID]) -> SpentTickets:
        if self._away:
            raise unavailable()
        now = datetime.now(UTC)
        about = {"purpose": Purpose.SIGN_UP, "user_id": 2**50, "spent_at": now, "repeats": 0, "session_lives": True}
        tickets = [SpentTicket(verification_id=each, **about) for each in verification_ids if each in self._spent]
        return SpentTickets(tickets=tickets, known_since=now - self._knows)


NOTHING_SPENT = Auth()


def explainer(sms: Sms, auth: Auth = NOTHING_SPENT) -> Explainer:
    return Explainer(HistoryStore(sms.pool), auth, PHONES)


async def explained(sms: Sms, number: E164, auth: Auth = NOTHING_SPENT) -> Report:
    return await explainer(sms, auth).explain(number)


async def ask(sms: Sms, number: E164, **more: object) -> tuple[CodeIssued, UUID]:
    """Ask for a code; the last message's id."""
    issued = await sms.codes().issue(asking(number, **more))
    return issued, (await sms.sends(number))[-1]["message_id"]


def steps(story: Report, timeline: int = -1) -> list[tuple[str, str]]:
    """Who did what, in order, up to the first colon."""
    return [(entry.by, entry.said.partition(":")[0]) for entry in story.timelines[timeline].entries]


ASKED = [("client", "asked for a code (sign_up) through maitian"), ("limits", "allowed it")]
QUEUED = [*ASKED, ("queue", "the message was queued")]


async def test_a_code_that_arrived_is_told_from_the_asking_to_the_session(sms: Sms) -> None:
    number = fresh_number()
    issued, message_id = await ask(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    await refusal(sms.codes().check(entering(number, wrong(issued.code))))
    assert (await explained(sms, number)).verdict.kind is DiagnosisKind.WRONG_CODE
    receipts = Receipts(ReceiptStore(sms.pool), {}, lambda: None)
    await receipts.apply("mainland", Receipt(DeliveryStatus.DELIVERED, message_id))
    await sms.codes().check(entering(number, issued.code))

    story = await explained(sms, number, Auth(issued.verification_id))

    assert steps(story) == [
        *QUEUED,
        ("worker", "claimed the message for mainland"),
        ("mainland", "took the message"),
        ("check", "a wrong code came back"),
        ("mainland", "receipt"),
        ("check", "the right code came back"),
        ("auth-service", "the ticket was spent"),
    ]
    assert story.verdict.kind is DiagnosisKind.VERIFIED
    assert story.verdict.said.startswith("The code arrived: the right one came back ")
    assert story.verdict.said.endswith("and its ticket was spent.")
    assert story.timelines[0].notes == []


async def test_a_delivered_code_that_nobody_entered_has_arrived(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await ask(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    story = await explained(sms, number)
    assert (story.verdict.kind, steps(story)[-1]) == (DiagnosisKind.ACCEPTED, ("mainland", "took the message"))

    await Receipts(ReceiptStore(sms.pool), {}, lambda: None).apply(
        "mainland", Receipt(DeliveryStatus.DELIVERED, message_id)
    )
    story = await explained(sms, number)
    assert story.verdict.kind is DiagnosisKind.DELIVERED
    assert story.verdict.said.startswith("Arrived: mainland delivered it")


async def test_a_cooldown_is_told_with_its_end_and_with_what_became_of_the_code_before_it(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await ask(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    error = await refusal(sms.codes().issue(asking(number)))

    story = await explained(sms, number)

    assert error.code is ErrorCode.COOLDOWN
    assert story.verdict.kind is DiagnosisKind.COOLDOWN
    assert "Refused by cooldown until " in story.verdict.said
    assert " from now)" in story.verdict.said
    assert "Before that: mainland took the message" in story.verdict.said
    assert steps(story)[-2:] == [ASKED[0], ("limits", "refused by cooldown")]
    assert story.timelines[0].entries[-1].facts == {"limiter": "cooldown", "retry_after": error.retry_after}


async def test_a_cooldown_of_another_purpose_is_a_timeline_of_its_own(sms: Sms) -> None:
    number = fresh_number()
    await ask(sms, number)
    for _ in range(2):
        await refusal(sms.codes().issue(asking(number, Purpose.SIGN_IN)))
    story = await explained(sms, number)
    assert [timeline.purpose for timeline in story.timelines] == [Purpose.SIGN_UP, Purpose.SIGN_IN]
    assert [timeline.verification_id is None for timeline in story.timelines] == [False, True]
    assert len(story.timelines[1].entries) == 4
    assert story.verdict.kind is DiagnosisKind.COOLDOWN


@pytest.mark.parametrize(
    ("why", "kind"), [(BUDGET_EXHAUSTED, DiagnosisKind.BUDGET), (PREFIX_BLOCKED, DiagnosisKind.PREFIX_BLOCKED)]
)
async def test_a_number_that_spending_refused_is_told_with_the_reason_and_when_to_ask_again(
    sms: Sms, why: str, kind: DiagnosisKind
) -> None:
    class Stopped(NoSpendingLimits):
        def refuse_blocked(self, number: E164) -> None:  # noqa: ARG002  whoever it is
            raise BlockedError(900, why)

    number = fresh_number()
    secrets = Secrets(sms.deriver, PHONES, BOOTH)
    codes = Verifications(VerificationStore(sms.pool), Unlimited(), secrets, lambda: None, spending_guard=Stopped())
    error = await refusal(codes.issue(asking(number)))

    story = await explained(sms, number)

    assert (error.code, error.retry_after) == (ErrorCode.SENDING_PAUSED, 900)
    assert story.verdict.kind is kind
    assert story.verdict.said.startswith("Refused by spending until ")
    assert steps(story) == [ASKED[0], ("limits", "refused by spending")]
    assert story.timelines[0].notes == [SAMPLED[SPENDING_LIMITER]]


async def test_a_message_that_the_budget_stopped_is_told(sms: Sms) -> None:
    number_range = random_range()
    paid, unpaid = random_number(number_range), random_number(number_range)
    harness = await SpendingHarness(sms, make_plan((number_range, "0.01", None))).open()
    for number in (paid, unpaid):
        _, message_id = await ask(sms, number)
        await harness.delivery(make_sender()).deliver(message_id)

    assert (await explained(sms, paid)).verdict.kind is DiagnosisKind.ACCEPTED
    story = await explained(sms, unpaid)
    assert story.verdict.kind is DiagnosisKind.BUDGET
    assert story.timelines[0].entries[-1].facts == {"failure": BUDGET_EXHAUSTED}


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("range:{}", DiagnosisKind.PREFIX_BLOCKED),
        ("network:{:.6}", DiagnosisKind.PREFIX_BLOCKED),
        ("hour:{}", DiagnosisKind.BUDGET),
    ],
)
async def test_a_message_that_was_held_back_after_it_was_queued_is_told_with_what_held_it_back(
    sms: Sms, state: str, kind: DiagnosisKind
) -> None:
    class Standings(SpendingStore):
        async def state(self) -> list[PrefixState]:
            return [PrefixState(state.format(number_range), Stage.BLOCKED, 0, 900)]

    number_range = random_range()
    number = random_number(number_range)
    _, message_id = await ask(sms, number)
    gate = SpendingGate(Standings(sms.pool), make_plan())
    await gate.refresh()
    sender = Recorder()
    delivery = Delivery(
        LedgerStore(sms.pool), SenderPool.of_one(sender), sms.deriver, PHONES, lambda: None, spending_guard=gate
    )
    await delivery.deliver(message_id)

    assert sender.messages == []
    assert (await explained(sms, number)).verdict.kind is kind


async def test_an_invalid_number_is_told_in_the_providers_words(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await ask(sms, number)
    await sms.delivery(Recorder(Outcome.INVALID_NUMBER, "mainland")).deliver(message_id)
    story = await explained(sms, number)
    assert story.verdict.kind is DiagnosisKind.INVALID_NUMBER
    assert story.verdict.said == "mainland said that the number is invalid (invalid_number)."
    assert steps(story)[-1] == ("mainland", "did not take the message")


async def test_a_silent_provider_is_told_and_so_is_the_one_that_was_asked_before(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await ask(sms, number)
    senders = [Recorder(Outcome.REFUSED, "mainland"), Recorder(TimeoutError(), "second")]
    sender_pool = SenderPool(senders, [Route("+", ("mainland", "second"))], {})
    await sms.delivery(sender_pool).deliver(message_id)

    story = await explained(sms, number)

    assert story.verdict.kind is DiagnosisKind.SILENT
    assert story.verdict.said.startswith("second did not answer in time")
    assert "mainland before it: refused" in story.verdict.said
    assert steps(story)[3:] == [
        ("worker", "claimed the message for mainland"),
        ("mainland", "did not take the message"),
        ("worker", "moved on to second"),
        ("second", "did not take the message"),
    ]


async def test_a_code_that_expired_in_the_queue_is_told_before_and_after_it_is_swept(sms: Sms) -> None:
    number = fresh_number()
    await ask(sms, number)
    assert (await explained(sms, number)).verdict.kind is DiagnosisKind.WAITING
    await sms.age(number, minutes=5, seconds=1)
    assert (await explained(sms, number)).verdict.kind is DiagnosisKind.EXPIRED
    recorder = Recorder()
    await sms.delivery(recorder).sweep()

    story = await explained(sms, number)

    assert recorder.messages == []
    assert story.verdict.kind is DiagnosisKind.EXPIRED
    assert "after 5 min 0 s no worker had taken" in story.verdict.said
    assert steps(story)[-1] == ("queue", "the code expired after 5 min 0 s in the queue")


async def test_a_message_without_a_route_or_a_key_is_told(sms: Sms) -> None:
    unserved, keyless = fresh_number(), fresh_number()
    _, message_id = await ask(sms, unserved)
    await sms.delivery(SenderPool([Recorder()], [Route("+852", ("recorder",))], {})).deliver(message_id)
    assert (await explained(sms, unserved)).verdict.kind is DiagnosisKind.NO_ROUTE

    _, message_id = await ask(sms, keyless)
    await sms.pool.execute("update messages set code_key_id = 9 where message_id = $1", message_id)
    await sms.delivery(Recorder()).deliver(message_id)
    assert (await explained(sms, keyless)).verdict.kind is DiagnosisKind.KEY_MISSING


async def test_a_worker_that_went_away_is_told(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await ask(sms, number)
    entry = await LedgerStore(sms.pool).find_queued(message_id)
    assert entry is not None
    assert await LedgerStore(sms.pool).claim(entry, "mainland")
    assert (await explained(sms, number)).verdict.kind is DiagnosisKind.SENDING
    await sms.age(number, seconds=31)
    assert (await explained(sms, number)).verdict.kind is DiagnosisKind.ABANDONED
    await sms.delivery(Recorder()).sweep()
    assert (await explained(sms, number)).verdict.kind is DiagnosisKind.ABANDONED


async def test_a_test_number_is_told_as_one(sms: Sms) -> None:
    number = fresh_number()
    tests = TestNumbers([TestNumber(number, "246810", datetime.now(UTC).date())])
    await sms.codes(tests=tests).issue(asking(number))
    story = await explained(sms, number)
    assert (story.verdict.kind, len(story.timelines[0].entries)) == (DiagnosisKind.TEST_NUMBER, 3)


async def test_five_wrong_codes_and_the_right_one_after_them_are_told(sms: Sms) -> None:
    number = fresh_number()
    issued, message_id = await ask(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    for _ in range(5):
        await refusal(sms.codes().check(entering(number, wrong(issued.code))))
    assert (await explained(sms, number)).verdict.said.startswith("Too many wrong codes came back")
    await refusal(sms.codes().check(entering(number, issued.code)))

    story = await explained(sms, number)

    told = [entry.said for entry in story.timelines[0].entries if entry.by == "check"]
    assert [said[-12:] for said in told[:5]] == [f"{left} tries left" for left in (4, 3, 2, 1, 0)]
    assert told[5] == "a code came back that opens nothing: five wrong codes had killed the right one"
    assert story.verdict.kind is DiagnosisKind.CODE_DEAD


@pytest.mark.parametrize("by", ["number", "id"])
async def test_a_code_that_comes_back_too_late_is_told(sms: Sms, by: str) -> None:
    number = fresh_number()
    issued, message_id = await ask(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    await sms.age(number, minutes=5)
    late = entering(number if by == "number" else None, issued.code, verification_id=issued.verification_id)
    await refusal(sms.codes().check(late))
    story = await explained(sms, number)
    assert story.verdict.kind is DiagnosisKind.CODE_DEAD
    assert "the code's five minutes were over" in story.verdict.said


async def test_a_number_that_asked_for_nothing_is_told_plainly_and_guesses_at_it_leave_nothing(sms: Sms) -> None:
    number = fresh_number()
    await refusal(sms.codes().check(entering(number, "123456")))
    story = await explained(sms, number)
    assert (story.verdict.kind, story.timelines) == (DiagnosisKind.NOTHING_ASKED, [])
    assert story.verdict.said == "Nothing was asked for this number in the last 30 days."
    assert "gateway" in story.verdict.advice
    assert await verification_events(sms, number) == 0


async def verification_events(sms: Sms, number: E164) -> int:
    count: int = await sms.pool.fetchval(
        "select count(*) from verification_events where phone_ref = $1", PHONES.ref(number)
    )
    return count


async def test_a_flood_of_refusals_and_of_guesses_keeps_a_bounded_number_of_rows(sms: Sms) -> None:
    number = fresh_number()
    issued, _ = await ask(sms, number)
    codes = sms.codes()
    for _ in range(REFUSALS_PER_DAY + 5):
        await refusal(codes.issue(asking(number)))
    assert await verification_events(sms, number) == REFUSALS_PER_DAY
    assert (await explained(sms, number)).timelines[0].notes == [FULL]

    await sms.age(number, minutes=6)
    for _ in range(30):
        await refusal(codes.check(entering(number, issued.code)))
    assert await verification_events(sms, number) == REFUSALS_PER_DAY + 1
    for _ in range(UNUSABLE_CHECKS_PER_DAY + 5):  # as many processes, each of which has not spoken of it yet
        await refusal(sms.codes().check(entering(number, issued.code)))
    assert await verification_events(sms, number) == REFUSALS_PER_DAY + UNUSABLE_CHECKS_PER_DAY


async def test_callers_over_their_limit_are_kept_once_a_minute_and_the_story_says_so(sms: Sms) -> None:
    class Strict:
        async def may_send(self, *_: object) -> None:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=60)

        async def not_sent(self, *_: object) -> None: ...
        async def may_look_up(self, *_: object) -> None: ...
        def source_network(self, *_: object) -> None:
            return None

    number = fresh_number()
    codes = sms.codes(Strict())
    for _ in range(3):
        await refusal(codes.issue(asking(number)))
    story = await explained(sms, number)
    assert (story.verdict.kind, len(story.timelines[0].entries)) == (DiagnosisKind.CALLER_LIMIT, 2)
    assert story.timelines[0].notes == [SAMPLED[CALLER]]


async def test_what_auth_service_does_not_know_or_say_is_said(sms: Sms) -> None:
    number = fresh_number()
    issued, _ = await ask(sms, number)
    await sms.codes().check(entering(number, issued.code))
    for auth, note in (
        (Auth(away=True), AUTH_SILENT),
        (Auth(), NOT_SPENT),
        (Auth(knows=timedelta()), AUTH_FORGOT),
    ):
        story = await explained(sms, number, auth)
        assert (story.verdict.kind, story.timelines[0].notes) == (DiagnosisKind.VERIFIED, [note])


async def test_a_code_verified_before_its_rows_were_kept_is_verified_all_the_same(sms: Sms) -> None:
    number = fresh_number()
    issued, _ = await ask(sms, number)
    await sms.codes().check(entering(number, issued.code))
    await sms.pool.execute("delete from verification_events where phone_ref = $1", PHONES.ref(number))
    story = await explained(sms, number)
    assert (story.verdict.kind, steps(story)[-1]) == (DiagnosisKind.VERIFIED, ("check", "the right code came back"))


async def test_an_earlier_verification_keeps_its_story_after_a_newer_one_took_its_place(sms: Sms) -> None:
    number = fresh_number()
    first, first_message = await ask(sms, number)
    await sms.delivery(Recorder(Outcome.INVALID_NUMBER, "mainland")).deliver(first_message)
    await sms.age(number, minutes=6)
    second, _ = await ask(sms, number)
    assert first.verification_id != second.verification_id

    story = await explained(sms, number)
    kinds = [(timeline.verification_id, timeline.verdict.kind) for timeline in story.timelines]
    assert kinds == [
        (first.verification_id, DiagnosisKind.INVALID_NUMBER),
        (second.verification_id, DiagnosisKind.WAITING),
    ]
    assert story.verdict.kind is DiagnosisKind.WAITING
    assert "2. sign_up: verification" in render_text(story)

    for identity in (first.verification_id, first_message):
        story = await explainer(sms).explain(identity)
        assert [timeline.verification_id for timeline in story.timelines] == [first.verification_id]
        assert story.verdict.kind is DiagnosisKind.INVALID_NUMBER


async def test_who_asks_by_id_is_not_shown_the_number(sms: Sms) -> None:
    number = fresh_number()
    issued, message_id = await ask(sms, number)
    await refusal(sms.codes().issue(asking(number)))
    for identity in (issued.verification_id, message_id):
        story = await explainer(sms).explain(identity)
        assert story.about == mask(number)
        for text in (render_text(story), story.model_dump_json()):
            assert number[3:] not in text
            assert mask(number) in text
    assert number in render_text(await explained(sms, number))

    await sms.delivery(Recorder()).deliver(message_id)
    await sms.pool.execute("delete from verifications where verification_id = $1", issued.verification_id)
    assert (await explainer(sms).explain(issued.verification_id)).about == UNKNOWN


EDGES = ("00000000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff")
"""The least and the greatest id of our kind: the one was made in 1970, the other will be in 10889."""


@pytest.mark.parametrize(
    "unknown", [new_id(), UUID(int=5), UUID("5f7e1b8e-5f0c-4b7a-8b3a-0d9c4d3e2f1a"), *map(UUID, EDGES)]
)
async def test_an_unknown_id_is_not_found(sms: Sms, unknown: UUID) -> None:
    assert (await refusal(explainer(sms).explain(unknown))).code is ErrorCode.NOT_FOUND


async def test_only_the_days_asked_for_are_told_and_what_is_too_old_is_purged(sms: Sms) -> None:
    number = fresh_number()
    await ask(sms, number)
    await refusal(sms.codes().issue(asking(number)))
    old = "update verification_events set at = at - interval '31 days', id = $2 where phone_ref = $1"
    await sms.pool.execute(old, PHONES.ref(number), retention.first_id(0, -1))
    await sms.age(number, days=2)

    assert (await explainer(sms).explain(number, days=1)).timelines == []
    assert len((await explainer(sms).explain(number)).timelines[0].entries) == 3
    assert await verification_events(sms, number) == 1
    assert (await purge(RetentionStore(sms.pool)))["verification_events"] == 1
    assert await verification_events(sms, number) == 0
