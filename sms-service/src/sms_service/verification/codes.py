"""Issue a code, check one, tell when the last one went out: the rules, and the ports they need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from shared.errors import ErrorCode, ServiceError, unavailable
from shared.events import OutboxMessage, new_id
from shared.internal_api.sms import AskStatus, CheckCode, CodeChecked, CodeIssued, IssueCode, Purpose, Status
from shared.phone import E164, PhoneKeys, mask
from shared.spelling import clean
from shared.tickets import LIFETIME, Ticket, TicketCodec
from sms_service import events
from sms_service.callers.networks import Address
from sms_service.otp import DIGITS, CodeDeriver, same
from sms_service.send_command import send_command
from sms_service.spending.gate import NO_SPENDING_LIMITS
from sms_service.spending.prefixes import NumberPrefixes
from sms_service.verification.audit_recorder import AuditRecorder, AuditRepository
from sms_service.verification.limits import (
    NumberState,
    next_verification,
    refuse_capped,
    refuse_cooling,
    refuse_tested,
)
from sms_service.verification.models import AcceptedRequest, CheckAttempt, Verified
from sms_service.verification.test_numbers import NO_TEST_NUMBERS, TestNumber, TestNumbers

REDECISIONS = 20
"""How often a decision is made anew because the number changed while it was made."""

ISSUED = Counter("haoma_codes_issued_total", "Codes accepted for sending", ["purpose", "dialect"])
CHECKED = Counter("haoma_codes_checked_total", "Codes checked, by outcome", ["outcome"])

log = structlog.get_logger()


class VerificationRepository(AuditRepository, Protocol):
    """Where verifications are kept. Each call is atomic."""

    async def state(self, phone_ref: int, purpose: Purpose) -> NumberState: ...
    async def sends(self, phone_ref: int) -> tuple[datetime, Sequence[datetime]]: ...
    async def accept(self, accept: AcceptedRequest) -> bool: ...
    async def count_try(
        self, phone_ref: int, purpose: Purpose, verification_id: UUID | None, source_network: str | None
    ) -> CheckAttempt | None: ...
    async def count_try_by_id(
        self, verification_id: UUID, purpose: Purpose, source_network: str | None
    ) -> CheckAttempt | None: ...
    async def succeed(
        self, attempt: CheckAttempt, event: OutboxMessage, dialect: str, area: NumberPrefixes | None
    ) -> Verified | None: ...


class CallerLimits(Protocol):
    """How often one caller may ask: ``may_…`` raise ``CALLER_LIMIT``, or ``UNAVAILABLE`` when they cannot tell.

    ``not_sent`` takes back what ``may_send`` counted on the number. ``source_network`` names whom a guess is counted on.
    """

    async def may_send(self, address: Address, phone_ref: int) -> None: ...
    async def not_sent(self, address: Address, phone_ref: int) -> None: ...
    async def may_look_up(self, address: Address) -> None: ...
    def source_network(self, address: Address | None) -> str | None: ...


class SpendingGuard(Protocol):
    """Whether money may be spent on a number; if not, ``SENDING_PAUSED``. ``area`` is where a right code is counted.

    ``admit`` gives the places that it took of slowed prefixes; those of a message that is not sent are given back.
    """

    def prefixes(self, number: E164) -> NumberPrefixes | None: ...
    def refuse_blocked(self, number: E164) -> None: ...
    async def admit(self, number: E164) -> Sequence[str]: ...
    async def give_back(self, slots: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class Switches:
    """For development only: settings refuse them in production."""

    reveal_codes: bool = False
    master_code: str | None = None


@dataclass(frozen=True)
class Secrets:
    """What codes, references and tickets are made with."""

    deriver: CodeDeriver
    phones: PhoneKeys
    booth: TicketCodec


class Verifications:
    """The whole life of a code. ``wake`` is called after something was committed for the outbox."""

    def __init__(
        self,
        repository: VerificationRepository,
        callers: CallerLimits,
        secrets: Secrets,
        wake: Callable[[], None],
        switches: Switches = Switches(),
        *,
        tests: TestNumbers = NO_TEST_NUMBERS,
        spending_guard: SpendingGuard = NO_SPENDING_LIMITS,
    ) -> None:
        self._repository = repository
        self._callers = callers
        self._deriver = secrets.deriver
        self._phones = secrets.phones
        self._booth = secrets.booth
        self._wake = wake
        self._switches = switches
        self._tests = tests
        self._spending_guard = spending_guard
        self._audit_recorder = AuditRecorder(repository, secrets.phones, wake)

    async def issue(self, call: IssueCode) -> CodeIssued:
        """Send a code. In order: ``CALLER_LIMIT``, ``call.refuse``, ``SENDING_PAUSED``, ``COOLDOWN``, ``DAILY_CAP``.

        A test number has a lane of its own: ``NUMBER_REFUSED`` after its last day, and a ``DAILY_CAP`` of its own.
        """
        number = E164(call.phone)
        test = self._tests.find(number)
        try:
            if test is None:
                return await self._send_limited(call, number)
            test.demand(datetime.now(UTC))
            return await self._send(call, number)
        except ServiceError as error:
            if error.code is not ErrorCode.UNAVAILABLE:
                await self._audit_recorder.refused(call, number, error)
            raise

    async def _send_limited(self, call: IssueCode, number: E164) -> CodeIssued:
        ref = self._phones.ref(number)
        await self._callers.may_send(call.address, ref)
        try:
            return await self._send(call, number)
        except ServiceError:
            await self._callers.not_sent(call.address, ref)
            raise

    async def _send(self, call: IssueCode, number: E164) -> CodeIssued:
        if call.refuse is not None:
            raise ServiceError(call.refuse)
        ref, is_test = self._phones.ref(number), self._tests.find(number) is not None
        if not is_test:
            self._spending_guard.refuse_blocked(number)
        slots: Sequence[str] | None = None
        try:
            for _ in range(REDECISIONS):
                state = await self._repository.state(ref, call.purpose)
                _refuse_frequent(call, state, is_test=is_test)
                if slots is None and not is_test:
                    slots = await self._spending_guard.admit(number)
                accept = self._accept(call, number, ref, state)
                if await self._repository.accept(accept):
                    self._wake()
                    return self._issued(call, number, accept)
            raise unavailable()
        except ServiceError as error:
            if slots and error.code is not ErrorCode.UNAVAILABLE:  # it may have been sent, or nobody would answer
                await self._spending_guard.give_back(slots)
            raise

    def _accept(self, call: IssueCode, number: E164, ref: int, state: NumberState) -> AcceptedRequest:
        verification = next_verification(state, new_id(), self._deriver.current_key_id)
        message_id = new_id()
        is_test = self._tests.find(number) is not None
        about = events.about(number, ref, call.purpose, call.dialect, verification.verification_id, is_test=is_test)
        told = events.requested(about, verification.version)
        return AcceptedRequest(
            phone_ref=ref,
            number_version=state.version,
            verification=verification,
            purpose=call.purpose,
            phone_sealed=self._phones.seal(number),
            dialect=call.dialect,
            client=call.client,
            language=call.language,
            message_id=message_id,
            created_at=state.now,
            messages=[told] if is_test else [send_command(message_id), told],
            to_test_number=is_test,
        )

    def _issued(self, call: IssueCode, number: E164, accept: AcceptedRequest) -> CodeIssued:
        made = accept.verification
        ISSUED.labels(call.purpose.value, call.dialect).inc()
        log.info(
            "code.issued",
            verification_id=str(made.verification_id),
            message_id=str(accept.message_id),
            purpose=call.purpose.value,
            dialect=call.dialect,
            again=made.version > 1,
            test_number=accept.to_test_number,
        )
        code = ""
        if self._switches.reveal_codes:
            test = self._tests.find(number)
            derived = self._deriver.code(made.code_key_id, made.verification_id, number, call.purpose)
            code = derived if test is None else test.code
        return CodeIssued(
            verification_id=made.verification_id,
            expires_in=int((made.expires_at - accept.created_at).total_seconds()),
            resend_after=call.cooldown,
            code=code,
        )

    async def check(self, call: CheckCode) -> CodeChecked:
        """The ticket for the right code, the same one each time. Raises ``CODE_REFUSED`` without saying why.

        A text that is no code once it is cleaned is refused without counting a try. The try is counted before anything
        is compared, so guesses sent at once are counted one by one.
        """
        call = self._cleaned(call)
        attempt = await self._count(call)
        if attempt is None:
            self._deriver.pretend(E164(call.phone or ""))
            await self._audit_recorder.dead(call)
            self._refuse("not_live", call)
        number = E164(call.phone or self._phones.open(attempt.phone_sealed))
        test = self._tests.find(number)
        about = events.about(
            number, attempt.phone_ref, call.purpose, call.dialect, attempt.verification_id, is_test=test is not None
        )
        if not self._is_right(call, attempt, number, test):
            await self._audit_recorder.wrong(call, attempt, about)
            self._refuse("wrong", call)
        area = self._spending_guard.prefixes(number) if test is None else None
        passed = await self._repository.succeed(attempt, events.succeeded(about, attempt.version), call.dialect, area)
        if passed is None:
            self._refuse("replaced", call)
        self._wake()
        if test is not None:
            log.warning("test_number.verified", masked=mask(number), purpose=call.purpose.value, dialect=call.dialect)
        return self._ticket(attempt, number, call.purpose, passed)

    def _cleaned(self, call: CheckCode) -> CheckCode:
        """The call with its code in ASCII digits, as many as a code has, or as ``MASTER_CODE`` has in ``tel``."""
        code, master = clean(call.code), self._switches.master_code
        lengths = {DIGITS, len(master)} if master and call.dialect == "tel" else {DIGITS}
        if len(code) not in lengths or not code.isdecimal():
            self._refuse("malformed", call)
        return call if code == call.code else call.model_copy(update={"code": code})

    async def _count(self, call: CheckCode) -> CheckAttempt | None:
        source_network = self._callers.source_network(call.address)
        if call.phone is not None:
            ref = self._phones.ref(E164(call.phone))
            return await self._repository.count_try(ref, call.purpose, call.verification_id, source_network)
        if call.verification_id is not None:
            return await self._repository.count_try_by_id(call.verification_id, call.purpose, source_network)
        raise ServiceError(ErrorCode.PARAMETER_MISSING, field="phone")

    def _is_right(self, call: CheckCode, attempt: CheckAttempt, number: E164, test: TestNumber | None) -> bool:
        if test is not None:
            return same(call.code, test.code) and not test.is_over(datetime.now(UTC))
        identity = attempt.verification_id
        right = self._deriver.matches(call.code, attempt.code_key_id, identity, number, call.purpose)
        return right or (call.dialect == "tel" and self._is_master(call.code))

    def _is_master(self, code: str) -> bool:
        """Whether it is ``MASTER_CODE``; one that came as a JSON number has been padded to six digits."""
        master = self._switches.master_code
        return master is not None and (same(code, master) or same(code, master.zfill(6)))

    def _refuse(self, outcome: str, call: CheckCode) -> NoReturn:
        CHECKED.labels(outcome).inc()
        log.info("code.not_verified", outcome=outcome, purpose=call.purpose.value, dialect=call.dialect)
        raise ServiceError(ErrorCode.CODE_REFUSED)

    def _ticket(self, attempt: CheckAttempt, number: E164, purpose: Purpose, passed: Verified) -> CodeChecked:
        CHECKED.labels("right").inc()
        log.info("code.verified", verification_id=str(attempt.verification_id), purpose=purpose.value)
        # Whole seconds from the first success: whoever checks again is given the very same text.
        expires_at = (passed.verified_at + LIFETIME).replace(microsecond=0)
        ticket = self._booth.seal(Ticket(attempt.verification_id, number, purpose, expires_at))
        return CodeChecked(
            ticket=ticket,
            expires_in=max(1, int((expires_at - passed.now).total_seconds())),
            again=passed.verified_at < passed.now,
        )

    async def status(self, call: AskStatus) -> Status:
        """Say that a code may be asked for. Raises ``CALLER_LIMIT``, ``call.refuse`` or ``COOLDOWN``."""
        await self._callers.may_look_up(call.address)
        if call.refuse is not None:
            raise ServiceError(call.refuse)
        now, sends = await self._repository.sends(self._phones.ref(E164(call.phone)))
        if self._tests.find(E164(call.phone)) is None:
            refuse_cooling(sends, call.cooldown, now)
        return Status()


def _refuse_frequent(call: IssueCode, state: NumberState, *, is_test: bool) -> None:
    if is_test:
        refuse_tested(state.sends, state.now)
    else:
        refuse_cooling(state.sends, call.cooldown, state.now)
        refuse_capped(state.sends, call.daily_cap, state.now)
