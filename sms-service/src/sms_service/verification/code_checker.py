"""Checking a code: count the attempt, compare the code, and turn a correct one into a ticket."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import NoReturn, Protocol

import structlog
from cryptography.exceptions import InvalidTag
from prometheus_client import Counter

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.sms import CheckCode, CodeChecked
from shared.numbers.spelling import clean
from shared.phone import E164, mask
from shared.tickets import Ticket
from sms_service import events
from sms_service.keys import Secrets
from sms_service.otp import DIGITS, same
from sms_service.spending.gate import NO_SPENDING_LIMITS
from sms_service.spending.prefixes import NumberPrefixes
from sms_service.verification.audit_recorder import AuditRecorder
from sms_service.verification.models import (
    AppFailure,
    CheckAttempt,
    CodeCheck,
    SourceNetworks,
    SuccessfulCheck,
    Verified,
)
from sms_service.verification.test_numbers import NO_TEST_NUMBERS, TestNumber, TestNumbers

CHECKED = Counter("haoma_codes_checked_total", "Codes checked, by outcome", ["outcome", "purpose", "dialect"])

log = structlog.get_logger()


class CheckRepository(Protocol):
    """Stores checks. Each call is atomic.

    ``count_attempt`` returns None if there is no code to compare. ``succeed`` refunds the attempt and returns None if a
    newer verification has replaced this one, or its code was used and may not be repeated. ``count_app_failure`` counts
    an incorrect code of an app, or returns None if the app has had too many.
    """

    async def count_attempt(self, check: CodeCheck) -> CheckAttempt | None: ...
    async def succeed(self, success: SuccessfulCheck) -> Verified | None: ...
    async def count_app_failure(self, app: str) -> AppFailure | None: ...
    async def refund_app_failure(self, app: str, resets_at: datetime) -> None: ...


class PrefixCounting(Protocol):
    """Finds the prefixes that spending counts a correct code on; None if it counts nothing."""

    def prefixes(self, number: E164) -> NumberPrefixes | None: ...


class CodeRefusedError(ServiceError):
    """A code was not accepted. ``tries_left`` and ``is_limited`` are for the holder of a challenge."""

    def __init__(self, tries_left: int | None, *, is_limited: bool) -> None:
        super().__init__(ErrorCode.CODE_REFUSED, tries_left=tries_left, is_limited=is_limited)


class CodeChecker:
    """Checks codes. ``wake`` is called after each commit to the outbox.

    ``master_code`` is correct for every number, in the calls that allow it; it is for development only.
    """

    def __init__(
        self,
        repository: CheckRepository,
        source_networks: SourceNetworks,
        secrets: Secrets,
        audit: AuditRecorder,
        wake: Callable[[], None],
        *,
        test_numbers: TestNumbers = NO_TEST_NUMBERS,
        prefix_counting: PrefixCounting = NO_SPENDING_LIMITS,
        master_code: str | None = None,
    ) -> None:
        self._repository = repository
        self._source_networks = source_networks
        self._deriver = secrets.deriver
        self._phones, self._seal = secrets.phones, secrets.seal
        self._tickets = secrets.tickets
        self._networks = secrets.networks
        self._audit = audit
        self._wake = wake
        self._test_numbers = test_numbers
        self._prefix_counting = prefix_counting
        self._master_code = master_code

    async def check(self, request: CheckCode) -> CodeChecked:
        """Return the ticket for a correct code. Raises ``CODE_REFUSED``.

        Text that cannot be a code is refused without counting an attempt. The attempt is counted before the code is
        compared, so attempts made at once are counted one by one. A code that was used is good for a repeat, as
        ``CodeChecked`` says.

        The refusal of a check by ``verification_id`` alone has ``tries_left``, or ``is_limited`` if a new code would
        not help either, because only clients that requested the code know that id. A check by number, which anyone can
        make, learns nothing else.
        """
        request = self._cleaned(request)
        check = self._check_of(request)
        app = self._source_networks.source_app(request.source)
        return await (self._check(request, check) if app is None else self._check_for_app(request, check, app))

    async def _check_for_app(self, request: CheckCode, check: CodeCheck, app: str) -> CodeChecked:
        """Count an incorrect code of the app before the check, and refund it unless a stranger's code is incorrect.

        When strangers have had too many by way of the app, callers who are known to the number pass all the same, and
        so does the first code that is entered where one was asked for a number without an account.
        """
        counted = await self._repository.count_app_failure(app)
        if counted is None:
            return await self._check(request, replace(check, app_is_full=True))
        try:
            return await self._check(request, check, counted)
        finally:
            if not counted.is_incorrect:
                await self._repository.refund_app_failure(app, counted.resets_at)

    async def _check(self, request: CheckCode, check: CodeCheck, of_app: AppFailure | None = None) -> CodeChecked:
        attempt = await self._repository.count_attempt(check)
        if attempt is None:
            await self._refuse_unusable(request, check)
        if not attempt.is_known and (of_app is not None or check.app_is_full):
            attempt = attempt.within(0 if of_app is None else of_app.failures_left)
        number = self._number_of(request, attempt)
        if number is None:
            await self._refuse_unusable(request, check)
        test = self._test_numbers.find(number)
        data = events.event_data(
            number,
            attempt.phone_ref,
            request.purpose,
            request.dialect,
            attempt.verification_id,
            is_test=test is not None,
        )
        if not self._matches(request, attempt, number, test):
            if of_app is not None:
                of_app.is_incorrect = not attempt.is_known
            await self._audit.record_incorrect(request, attempt, data)
            self._refuse("incorrect", request, attempt.tries_left, is_limited=attempt.is_limited)
        prefixes = self._prefix_counting.prefixes(number) if test is None else None
        event = events.succeeded(data, attempt.version)
        success = SuccessfulCheck(check, attempt, event, request.dialect, prefixes)
        verified = await self._succeed(request, success, number, test)
        return self._checked(attempt, number, request, verified)

    def _cleaned(self, request: CheckCode) -> CheckCode:
        """The request with its code in ASCII digits. Raises ``CODE_REFUSED`` for text that cannot be a code."""
        code, master = clean(request.code), self._master_code
        lengths = {DIGITS, len(master)} if master and request.allow_master_code else {DIGITS}
        if len(code) not in lengths or not code.isdecimal():
            self._refuse("malformed", request)
        return request if code == request.code else request.model_copy(update={"code": code})

    def _check_of(self, request: CheckCode) -> CodeCheck:
        if request.phone is None and request.verification_id is None:
            raise ServiceError(ErrorCode.PARAMETER_MISSING, field="phone")
        return CodeCheck(
            self._ref(request.phone),
            request.purpose,
            request.verification_id,
            self._source_networks.source_network(request.source),
            self._networks.ref(request.source),
            self._ref(request.session_phone),
            request.with_secret,
            request.source.network,
            place=self._source_networks.place(request.source),
        )

    def _ref(self, number: str | None) -> int | None:
        return None if number is None else self._phones.ref(E164(number))

    def _number_of(self, request: CheckCode, attempt: CheckAttempt) -> E164 | None:
        """The number whose code is compared; None if a key that it needs was removed from its ring too early."""
        try:
            number = E164(request.phone) if request.phone else self._seal.open(attempt.phone_sealed)
        except InvalidTag:
            number = None
        if number is None or attempt.code_key_id not in self._deriver.key_ids:
            log.error("code.key_missing", key_id=attempt.code_key_id, verification_id=str(attempt.verification_id))
            return None
        return number

    def _matches(self, request: CheckCode, attempt: CheckAttempt, number: E164, test: TestNumber | None) -> bool:
        if test is not None:
            return same(request.code, test.code) and not test.is_expired(datetime.now(UTC))
        matches = self._deriver.matches(
            request.code, attempt.code_key_id, attempt.verification_id, number, request.purpose
        )
        return matches or (request.allow_master_code and self._is_master_code(request.code))

    def _is_master_code(self, code: str) -> bool:
        """Whether it is ``MASTER_CODE``, which may arrive padded to six digits."""
        master = self._master_code
        return master is not None and (same(code, master) or same(code, master.zfill(6)))

    async def _succeed(
        self, request: CheckCode, success: SuccessfulCheck, number: E164, test: TestNumber | None
    ) -> Verified:
        verified = await self._repository.succeed(success)
        if verified is None:
            self._refuse("unusable", request, 0)
        self._wake()
        if test is not None:
            log.warning(
                "test_number.verified", masked=mask(number), purpose=request.purpose.value, dialect=request.dialect
            )
        return verified

    async def _refuse_unusable(self, request: CheckCode, check: CodeCheck) -> NoReturn:
        """Refuse where there is no code to compare, after the same work as an incorrect code costs."""
        self._deriver.pretend(E164(request.phone or ""))
        is_limited = await self._audit.record_unusable(check, request.dialect)
        self._refuse("unusable", request, 0, is_limited=is_limited)

    def _refuse(
        self,
        outcome: str,
        request: CheckCode,
        tries_left: int | None = None,
        *,
        is_limited: bool = False,
    ) -> NoReturn:
        CHECKED.labels(outcome, request.purpose.value, request.dialect).inc()
        log.info("code.rejected", outcome=outcome, purpose=request.purpose.value, dialect=request.dialect)
        if request.phone is not None:
            raise CodeRefusedError(None, is_limited=False)
        raise CodeRefusedError(None if is_limited else tries_left, is_limited=is_limited)

    def _checked(self, attempt: CheckAttempt, number: E164, request: CheckCode, verified: Verified) -> CodeChecked:
        outcome = "repeated" if verified.verified_at < verified.now else "correct"
        CHECKED.labels(outcome, request.purpose.value, request.dialect).inc()
        log.info("code.verified", verification_id=str(attempt.verification_id), purpose=request.purpose.value)
        # Issued at the first success, so that each later check in the same network returns the very same ticket.
        ticket = Ticket(attempt.verification_id, number, request.purpose, verified.verified_at, verified.repeats_only)
        return CodeChecked(
            ticket=self._tickets.seal(ticket),
            expires_in=max(1, int((ticket.expires_at - verified.now).total_seconds())),
            again=verified.verified_at < verified.now,
        )
