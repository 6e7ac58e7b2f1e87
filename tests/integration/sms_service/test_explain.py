"""``explain`` reports the truth about a number, from the rows of real requests, workers, receipts and checks."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from support.sms import (
    PHONES,
    SEAL,
    Recorder,
    SilentRelay,
    Sms,
    asking,
    entering,
    fresh_number,
    refusal,
    running,
    wrong,
)
from support.spending import SpendingHarness, make_plan, make_sender, random_number, random_range

from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events.envelope import new_id
from shared.internal_api.auth import SpentTicket, SpentTickets
from shared.internal_api.sms import CodeIssued, Purpose
from shared.networks import RequestSource
from shared.phone import E164, mask
from sms_service.callers.rate_limits import NoCallerLimits
from sms_service.delivery.delivery import Delivery
from sms_service.delivery.ledger_store import LedgerStore
from sms_service.delivery.routing import Route
from sms_service.delivery.sender_pool import SenderPool
from sms_service.explain.build_report import AUTH_UNAVAILABLE, FULL_DAY, SAMPLED, TICKET_FORGOTTEN, TICKET_UNUSED
from sms_service.explain.explain import UNKNOWN_NUMBER, Explainer
from sms_service.explain.history_store import HistoryStore
from sms_service.explain.render_text import render_text
from sms_service.explain.report import DiagnosisKind, Report
from sms_service.receipts.receipts import Receipts
from sms_service.receipts.store import ReceiptStore
from sms_service.senders.port import DeliveryStatus, Outcome, Receipt
from sms_service.spending.gate import NoSpendingLimits, PrefixState, SpendingGate
from sms_service.spending.policy import Stage
from sms_service.spending.refusals import BUDGET_EXHAUSTED, PREFIX_BLOCKED, SPENDING_LIMITER, BlockedError
from sms_service.spending.store import SpendingStore
from sms_service.verification.audit_events import CALLER, REFUSALS_PER_DAY, UNUSABLE_CHECKS_PER_DAY
from sms_service.verification.test_numbers import TestNumber, TestNumbers


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


class Auth:
    """A fake of auth-service for an explainer."""

    def __init__(self, *spent: UUID, is_down: bool = False, knows: timedelta = timedelta(days=1)) -> None:
        self._spent, self._is_down, self._knows = spent, is_down, knows

    async def spent(self, verification_ids: Sequence[UUID]) -> SpentTickets:
        if self._is_down:
            raise unavailable()
        now = datetime.now(UTC)
        usual = {"purpose": Purpose.SIGN_UP, "user_id": 2**50, "spent_at": now, "repeats": 0, "session_lives": True}
        tickets = [SpentTicket(verification_id=each, **usual) for each in verification_ids if each in self._spent]
        return SpentTickets(tickets=tickets, known_since=now - self._knows)


NOTHING_SPENT = Auth()


def explainer(sms: Sms, auth: Auth = NOTHING_SPENT) -> Explainer:
    return Explainer(HistoryStore(sms.pool), auth, PHONES, SEAL)


async def explained(sms: Sms, number: E164, auth: Auth = NOTHING_SPENT) -> Report:
    return await explainer(sms, auth).explain(number)


async def request(sms: Sms, number: E164, **more: object) -> tuple[CodeIssued, UUID]:
    """Request a code. Returns the id of its message too."""
    issued = await sms.codes().issue(asking(number, **more))
    return issued, (await sms.sends(number))[-1]["message_id"]


def steps(report: Report, timeline: int = -1) -> list[tuple[str, str]]:
    """The actor and the text, up to the first colon, of each step."""
    return [(step.actor, step.text.partition(":")[0]) for step in report.timelines[timeline].steps]


REQUESTED = [("client", "requested a code (sign_up) through maitian"), ("limits", "allowed the request")]
QUEUED = [*REQUESTED, ("queue", "received the message")]


async def test_a_verified_code_has_every_step_from_the_request_to_the_session(sms: Sms) -> None:
    number = fresh_number()
    issued, message_id = await request(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    await refusal(sms.codes().check(entering(number, wrong(issued.code))))
    assert (await explained(sms, number)).diagnosis.kind is DiagnosisKind.INCORRECT_CODE
    receipts = Receipts(ReceiptStore(sms.pool), {}, lambda: None)
    await receipts.apply("mainland", Receipt(DeliveryStatus.DELIVERED, message_id))
    await sms.codes().check(entering(number, issued.code))

    report = await explained(sms, number, Auth(issued.verification_id))

    assert steps(report) == [
        *QUEUED,
        ("worker", "claimed the message for mainland"),
        ("mainland", "accepted the message"),
        ("check", "rejected an incorrect code"),
        ("mainland", "sent a receipt"),
        ("check", "accepted the correct code"),
        ("auth-service", "registered an account with the ticket; its session is still open"),
    ]
    assert report.diagnosis.kind is DiagnosisKind.VERIFIED
    assert report.diagnosis.text.startswith("The user entered the correct code ")
    assert report.diagnosis.text.endswith("and the app used its ticket.")
    assert report.timelines[0].notes == []


async def test_a_code_that_was_delivered_and_not_entered_has_arrived(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await request(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    report = await explained(sms, number)
    assert (report.diagnosis.kind, steps(report)[-1]) == (DiagnosisKind.ACCEPTED, ("mainland", "accepted the message"))

    await Receipts(ReceiptStore(sms.pool), {}, lambda: None).apply(
        "mainland", Receipt(DeliveryStatus.DELIVERED, message_id)
    )
    report = await explained(sms, number)
    assert report.diagnosis.kind is DiagnosisKind.DELIVERED
    assert report.diagnosis.text.startswith("mainland delivered the message ")


async def test_a_cooldown_has_its_end_and_the_diagnosis_of_the_code_before_it(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await request(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    error = await refusal(sms.codes().issue(asking(number)))

    report = await explained(sms, number)

    assert error.code is ErrorCode.COOLDOWN
    assert report.diagnosis.kind is DiagnosisKind.COOLDOWN
    assert "The cooldown refused the request until " in report.diagnosis.text
    assert " from now)" in report.diagnosis.text
    assert "Before that: mainland accepted the message" in report.diagnosis.text
    assert steps(report)[-2:] == [REQUESTED[0], ("limits", "refused the request")]
    assert report.timelines[0].steps[-1].details == {"limiter": "cooldown", "retry_after": error.retry_after}


async def test_a_cooldown_of_another_purpose_has_a_timeline_of_its_own(sms: Sms) -> None:
    number = fresh_number()
    await request(sms, number)
    for _ in range(2):
        await refusal(sms.codes().issue(asking(number, Purpose.SIGN_IN)))
    report = await explained(sms, number)
    assert [timeline.purpose for timeline in report.timelines] == [Purpose.SIGN_UP, Purpose.SIGN_IN]
    assert [timeline.verification_id is None for timeline in report.timelines] == [False, True]
    assert len(report.timelines[1].steps) == 4
    assert report.diagnosis.kind is DiagnosisKind.COOLDOWN


@pytest.mark.parametrize(
    ("reason", "kind"),
    [(BUDGET_EXHAUSTED, DiagnosisKind.BUDGET_EXHAUSTED), (PREFIX_BLOCKED, DiagnosisKind.PREFIX_BLOCKED)],
)
async def test_a_refusal_by_spending_has_its_reason_and_its_end(sms: Sms, reason: str, kind: DiagnosisKind) -> None:
    class Blocking(NoSpendingLimits):
        def refuse_blocked(self, number: E164, *, is_known: bool) -> None:  # noqa: ARG002  every number is refused
            raise BlockedError(900, reason)

    number = fresh_number()
    error = await refusal(sms.codes(spending_guard=Blocking()).issue(asking(number)))

    report = await explained(sms, number)

    assert (error.code, error.retry_after) == (ErrorCode.SENDING_PAUSED, 900)
    assert report.diagnosis.kind is kind
    assert report.diagnosis.text.startswith("The spending limit refused the request until ")
    assert steps(report) == [REQUESTED[0], ("limits", "refused the request")]
    assert report.timelines[0].notes == [SAMPLED[SPENDING_LIMITER]]


async def test_a_message_that_the_budget_could_not_pay_has_that_diagnosis(sms: Sms) -> None:
    number_range = random_range()
    paid, unpaid = random_number(number_range), random_number(number_range)
    harness = await SpendingHarness(sms, make_plan((number_range, "0.01", None))).open()
    for number in (paid, unpaid):
        _, message_id = await request(sms, number)
        await harness.delivery(make_sender()).deliver(message_id)

    assert (await explained(sms, paid)).diagnosis.kind is DiagnosisKind.ACCEPTED
    report = await explained(sms, unpaid)
    assert report.diagnosis.kind is DiagnosisKind.BUDGET_EXHAUSTED
    assert report.timelines[0].steps[-1].details == {"failure": BUDGET_EXHAUSTED}


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("range:{}", DiagnosisKind.PREFIX_BLOCKED),
        ("network:{:.6}", DiagnosisKind.PREFIX_BLOCKED),
        ("hour:{}", DiagnosisKind.BUDGET_EXHAUSTED),
    ],
)
async def test_a_queued_message_that_spending_did_not_let_out_has_the_reason(
    sms: Sms, state: str, kind: DiagnosisKind
) -> None:
    class FixedStates(SpendingStore):
        async def state(self) -> list[PrefixState]:
            return [PrefixState(state.format(number_range), Stage.BLOCKED, 0, 900)]

    number_range = random_range()
    number = random_number(number_range)
    _, message_id = await request(sms, number)
    gate = SpendingGate(FixedStates(sms.pool), make_plan())
    await gate.refresh()
    sender = Recorder()
    delivery = Delivery(
        LedgerStore(sms.pool),
        SenderPool.of_one(sender),
        sms.deriver,
        SEAL,
        SilentRelay().hand_over,
        spending_guard=gate,
    )
    await delivery.deliver(message_id)

    assert sender.messages == []
    assert (await explained(sms, number)).diagnosis.kind is kind


async def test_an_invalid_number_has_the_answer_of_the_provider(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await request(sms, number)
    await sms.delivery(Recorder(Outcome.INVALID_NUMBER, "mainland")).deliver(message_id)
    report = await explained(sms, number)
    assert report.diagnosis.kind is DiagnosisKind.INVALID_NUMBER
    assert report.diagnosis.text == "mainland rejected the number as invalid (invalid_number)."
    assert steps(report)[-1] == ("mainland", "did not accept the message")


async def test_a_timeout_has_also_the_answer_of_the_sender_before_it(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await request(sms, number)
    senders = [Recorder(Outcome.REFUSED, "mainland"), Recorder(TimeoutError(), "second")]
    sender_pool = SenderPool(senders, [Route("+", ("mainland", "second"))], {})
    await sms.delivery(sender_pool).deliver(message_id)

    report = await explained(sms, number)

    assert report.diagnosis.kind is DiagnosisKind.TIMEOUT
    assert report.diagnosis.text.startswith("second did not answer in time")
    assert "before it mainland: refused" in report.diagnosis.text
    assert steps(report)[3:] == [
        ("worker", "claimed the message for mainland"),
        ("mainland", "did not accept the message"),
        ("worker", "failed over to second"),
        ("second", "did not accept the message"),
    ]


async def test_a_code_that_expired_in_the_queue_has_that_diagnosis_before_and_after_the_sweep(sms: Sms) -> None:
    number = fresh_number()
    await request(sms, number)
    assert (await explained(sms, number)).diagnosis.kind is DiagnosisKind.WAITING
    await sms.age(number, minutes=5, seconds=1)
    assert (await explained(sms, number)).diagnosis.kind is DiagnosisKind.EXPIRED
    recorder = Recorder()
    await sms.delivery(recorder).sweep()

    report = await explained(sms, number)

    assert recorder.messages == []
    assert report.diagnosis.kind is DiagnosisKind.EXPIRED
    assert "no worker claimed the message for 5 min 0 s" in report.diagnosis.text
    assert steps(report)[-1] == ("queue", "dropped the message, because its code expired after 5 min 0 s")


async def test_a_message_without_a_route_or_a_key_has_that_diagnosis(sms: Sms) -> None:
    unserved, keyless = fresh_number(), fresh_number()
    _, message_id = await request(sms, unserved)
    await sms.delivery(SenderPool([Recorder()], [Route("+852", ("recorder",))], {})).deliver(message_id)
    assert (await explained(sms, unserved)).diagnosis.kind is DiagnosisKind.NO_ROUTE

    _, message_id = await request(sms, keyless)
    await sms.pool.execute("update messages set code_key_id = 9 where message_id = $1", message_id)
    await sms.delivery(Recorder()).deliver(message_id)
    assert (await explained(sms, keyless)).diagnosis.kind is DiagnosisKind.KEY_MISSING


async def test_a_message_whose_worker_stopped_is_abandoned(sms: Sms) -> None:
    number = fresh_number()
    _, message_id = await request(sms, number)
    step = await LedgerStore(sms.pool).find_queued(message_id)
    assert step is not None
    assert await LedgerStore(sms.pool).claim(step, "mainland")
    assert (await explained(sms, number)).diagnosis.kind is DiagnosisKind.SENDING
    await sms.age(number, seconds=31)
    assert (await explained(sms, number)).diagnosis.kind is DiagnosisKind.ABANDONED
    await sms.delivery(Recorder()).sweep()
    assert (await explained(sms, number)).diagnosis.kind is DiagnosisKind.ABANDONED


async def test_a_test_number_has_that_diagnosis(sms: Sms) -> None:
    number = fresh_number()
    tests = TestNumbers([TestNumber(number, "246810", datetime.now(UTC).date())])
    await sms.codes(test_numbers=tests).issue(asking(number))
    report = await explained(sms, number)
    assert (report.diagnosis.kind, len(report.timelines[0].steps)) == (DiagnosisKind.TEST_NUMBER, 3)


async def test_five_incorrect_codes_make_the_correct_one_unusable(sms: Sms) -> None:
    number = fresh_number()
    issued, message_id = await request(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    for _ in range(5):
        await refusal(sms.codes().check(entering(number, wrong(issued.code))))
    assert (await explained(sms, number)).diagnosis.text.startswith("Incorrect codes have used up the tries")
    await refusal(sms.codes().check(entering(number, issued.code)))

    report = await explained(sms, number)

    texts = [step.text for step in report.timelines[0].steps if step.actor == "check"]
    left = ["4 tries are left", "3 tries are left", "2 tries are left", "1 try is left", "0 tries are left"]
    assert texts[:5] == [f"rejected an incorrect code: {tries}" for tries in left]
    assert texts[5] == "rejected an unusable code: five incorrect codes had used up the tries"
    assert report.diagnosis.kind is DiagnosisKind.UNUSABLE_CODE


@pytest.mark.parametrize("by", ["number", "id"])
async def test_a_code_that_is_entered_too_late_is_unusable(sms: Sms, by: str) -> None:
    number = fresh_number()
    issued, message_id = await request(sms, number)
    await sms.delivery(Recorder(name="mainland")).deliver(message_id)
    await sms.age(number, minutes=5)
    late = entering(number if by == "number" else None, issued.code, verification_id=issued.verification_id)
    await refusal(sms.codes().check(late))
    report = await explained(sms, number)
    assert report.diagnosis.kind is DiagnosisKind.UNUSABLE_CODE
    assert "its five minutes were over" in report.diagnosis.text


async def test_a_number_without_requests_has_that_diagnosis_and_guesses_at_its_code_leave_no_rows(sms: Sms) -> None:
    number = fresh_number()
    await refusal(sms.codes().check(entering(number, "123456")))
    report = await explained(sms, number)
    assert (report.diagnosis.kind, report.timelines) == (DiagnosisKind.NOTHING_REQUESTED, [])
    assert report.diagnosis.text.startswith("No request for this number is stored for the last 30 days.")
    assert "gateway" in report.diagnosis.advice
    assert await verification_events(sms, number) == 0


async def verification_events(sms: Sms, number: E164) -> int:
    count: int = await sms.pool.fetchval(
        "select count(*) from verification_events where phone_ref = $1", PHONES.ref(number)
    )
    return count


async def test_a_flood_of_refusals_and_of_guesses_leaves_a_bounded_number_of_rows(sms: Sms) -> None:
    number = fresh_number()
    issued, _ = await request(sms, number)
    codes = sms.codes()
    for _ in range(REFUSALS_PER_DAY + 5):
        await refusal(codes.issue(asking(number)))
    assert await verification_events(sms, number) == REFUSALS_PER_DAY
    assert (await explained(sms, number)).timelines[0].notes == [FULL_DAY]

    await sms.age(number, minutes=6)
    for _ in range(30):
        await refusal(codes.check(entering(number, issued.code)))
    assert await verification_events(sms, number) == REFUSALS_PER_DAY + 1
    for _ in range(UNUSABLE_CHECKS_PER_DAY + 5):  # each from another process, so that none of them is throttled
        await refusal(sms.codes().check(entering(number, issued.code)))
    assert await verification_events(sms, number) == REFUSALS_PER_DAY + UNUSABLE_CHECKS_PER_DAY


async def test_a_note_says_that_refusals_by_the_caller_limit_are_sampled(sms: Sms) -> None:
    class Strict(NoCallerLimits):
        async def charge_send(self, source: RequestSource, phone_ref: int | None) -> bool:  # noqa: ARG002  as the port
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=60)

    number = fresh_number()
    codes = sms.codes(Strict())
    for _ in range(3):
        await refusal(codes.issue(asking(number)))
    report = await explained(sms, number)
    assert (report.diagnosis.kind, len(report.timelines[0].steps)) == (DiagnosisKind.CALLER_LIMIT, 2)
    assert report.timelines[0].notes == [SAMPLED[CALLER]]


async def test_a_refused_number_without_rows_is_not_said_to_have_missed_sms_service(sms: Sms) -> None:
    class Full(NoCallerLimits):
        async def charge_send(self, *_: object) -> bool:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=60)

    codes, unlucky = sms.codes(Full()), fresh_number()
    await sms.change_audit_rows("delete from verification_events where detail = $1", CALLER)
    before = (await explained(sms, fresh_number())).diagnosis
    await refusal(codes.issue(asking(fresh_number(), address="203.0.113.7")))  # the one of this minute that is kept
    await refusal(codes.issue(asking(unlucky, address="203.0.113.7")))
    after = (await explained(sms, unlucky)).diagnosis

    assert "0 by the limit on callers" in before.text
    assert (after.kind, "1 by the limit on callers" in after.text) == (DiagnosisKind.NOTHING_REQUESTED, True)
    assert after.advice.startswith("Check sms-service first")


async def test_a_note_says_what_auth_service_does_not_know(sms: Sms) -> None:
    number = fresh_number()
    issued, _ = await request(sms, number)
    await sms.codes().check(entering(number, issued.code))
    for auth, note in (
        (Auth(is_down=True), AUTH_UNAVAILABLE),
        (Auth(), TICKET_UNUSED),
        (Auth(knows=timedelta()), TICKET_FORGOTTEN),
    ):
        report = await explained(sms, number, auth)
        assert (report.diagnosis.kind, report.timelines[0].notes) == (DiagnosisKind.VERIFIED, [note])


async def test_a_verification_without_its_events_is_still_verified(sms: Sms) -> None:
    number = fresh_number()
    issued, _ = await request(sms, number)
    await sms.codes().check(entering(number, issued.code))
    await sms.change_audit_rows("delete from verification_events where phone_ref = $1", PHONES.ref(number))
    report = await explained(sms, number)
    assert (report.diagnosis.kind, steps(report)[-1]) == (
        DiagnosisKind.VERIFIED,
        ("check", "accepted the correct code"),
    )


async def test_an_earlier_verification_keeps_its_timeline_after_a_newer_one_replaced_it(sms: Sms) -> None:
    number = fresh_number()
    first, first_message = await request(sms, number)
    await sms.delivery(Recorder(Outcome.INVALID_NUMBER, "mainland")).deliver(first_message)
    await sms.age(number, minutes=6)
    second, _ = await request(sms, number)
    assert first.verification_id != second.verification_id

    report = await explained(sms, number)
    kinds = [(timeline.verification_id, timeline.diagnosis.kind) for timeline in report.timelines]
    assert kinds == [
        (first.verification_id, DiagnosisKind.INVALID_NUMBER),
        (second.verification_id, DiagnosisKind.WAITING),
    ]
    assert report.diagnosis.kind is DiagnosisKind.WAITING
    assert "2. sign_up: verification" in render_text(report)

    for identity in (first.verification_id, first_message):
        report = await explainer(sms).explain(identity)
        assert [timeline.verification_id for timeline in report.timelines] == [first.verification_id]
        assert report.diagnosis.kind is DiagnosisKind.INVALID_NUMBER


async def test_a_report_by_id_masks_the_number(sms: Sms) -> None:
    number = fresh_number()
    issued, message_id = await request(sms, number)
    await refusal(sms.codes().issue(asking(number)))
    for identity in (issued.verification_id, message_id):
        report = await explainer(sms).explain(identity)
        assert report.number == mask(number)
        for text in (render_text(report), report.model_dump_json()):
            assert number[3:] not in text
            assert mask(number) in text
    assert number in render_text(await explained(sms, number))

    await sms.delivery(Recorder()).deliver(message_id)
    await sms.pool.execute("delete from verifications where verification_id = $1", issued.verification_id)
    assert (await explainer(sms).explain(issued.verification_id)).number == UNKNOWN_NUMBER


EDGES = ("00000000-0000-7000-8000-000000000000", "ffffffff-ffff-7fff-bfff-ffffffffffff")
"""The first and the last possible UUIDv7, of the years 1970 and 10889."""


@pytest.mark.parametrize(
    "unknown", [new_id(), UUID(int=5), UUID("5f7e1b8e-5f0c-4b7a-8b3a-0d9c4d3e2f1a"), *map(UUID, EDGES)]
)
async def test_an_unknown_id_is_not_found(sms: Sms, unknown: UUID) -> None:
    assert (await refusal(explainer(sms).explain(unknown))).code is ErrorCode.NOT_FOUND


async def test_a_report_reaches_back_as_far_as_requested_and_no_more_than_thirty_days(sms: Sms) -> None:
    number = fresh_number()
    await request(sms, number)
    await refusal(sms.codes().issue(asking(number)))
    old = "update verification_events set at = at - $2::interval where phone_ref = $1"
    await sms.change_audit_rows(old, PHONES.ref(number), timedelta(days=31))
    await sms.age(number, days=2)

    assert (await explainer(sms).explain(number, days=1)).timelines == []
    assert len((await explainer(sms).explain(number)).timelines[0].steps) == 3
    assert await verification_events(sms, number) == 1
