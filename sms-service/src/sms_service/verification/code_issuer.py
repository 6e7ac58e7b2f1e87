"""Requesting a code: which limits apply, in which order, and what is written when the request is accepted."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog
from prometheus_client import Counter

from shared.errors import ErrorCode, ServiceError, is_outage, unavailable
from shared.events.envelope import OutboxMessage, new_id
from shared.internal_api.sms import AskStatus, CodeIssued, IssueCode, Purpose, Status
from shared.networks import RequestSource
from shared.phone import E164
from shared.process.metric_children import child
from sms_service import events
from sms_service.keys import Secrets
from sms_service.send_command import SEND_QUEUE, carrying, send_command
from sms_service.spending.gate import NO_SPENDING_LIMITS
from sms_service.verification.audit_recorder import AuditRecorder
from sms_service.verification.limits import NumberState, next_verification
from sms_service.verification.models import AcceptedRequest, ActiveNumberError, Recipient, SourceNetworks, requester_of
from sms_service.verification.send_limits import Send, refuse_cooldown
from sms_service.verification.test_numbers import NO_TEST_NUMBERS, TestNumbers

MAX_DECISIONS = 20
"""How often a request is decided again because the number changed in the meantime."""

REQUESTED = Counter("haoma_codes_requested_total", "Requests for a code that were accepted", ["purpose", "dialect"])

log = structlog.get_logger()


class RequestRepository(Protocol):
    """Stores requests. Each call is atomic. ``accept`` returns false if the number has changed since ``state``.

    ``unread_state`` is what the state of a number may well be, or None. ``accept`` finds out if it is something else.
    ``check_wait`` returns for how many seconds strangers in a network or of an app may enter no code, or None.
    ``has_been_active`` says that a number had activity a while ago; false may mean that this is not known.
    """

    def has_been_active(self, phone_ref: int) -> bool: ...
    def unread_state(self, phone_ref: int) -> NumberState | None: ...
    async def state(self, phone_ref: int, purpose: Purpose) -> NumberState: ...
    async def sends(self, phone_ref: int) -> tuple[datetime, Sequence[Send]]: ...
    async def accept(self, request: AcceptedRequest) -> bool: ...
    async def check_wait(self, network: str | None, app: str | None) -> int | None: ...


class CallerLimits(SourceNetworks, Protocol):
    """Limits on callers. ``charge_…`` raise ``CALLER_LIMIT``, or ``UNAVAILABLE`` if they cannot decide.

    ``charge_send`` also counts on the number, unless it gets none: for a caller who is known to it. It returns whether
    it charged what is kept for these. ``refund_send`` takes back what counts on the number, or what was kept;
    ``undo_send`` all that was charged to a stranger.
    """

    async def charge_send(self, source: RequestSource, phone_ref: int | None) -> bool: ...
    async def refund_send(self, source: RequestSource, phone_ref: int | None) -> None: ...
    async def undo_send(self, source: RequestSource, phone_ref: int) -> None: ...
    async def charge_lookup(self, source: RequestSource) -> None: ...


class SpendingGuard(Protocol):
    """Whether money may be spent on a number, for a caller who may be known to it. Raises ``SENDING_PAUSED`` if not.

    ``admit`` takes a slot of each throttled prefix of the number and returns them; ``give_back`` frees slots.
    """

    def refuse_blocked(self, number: E164, *, is_known: bool) -> None: ...
    async def admit(self, number: E164) -> Sequence[str]: ...
    async def give_back(self, slots: Sequence[str]) -> None: ...


class Relay(Protocol):
    """Publishes what was committed to the outbox: soon, or at once what is handed over."""

    def wake(self) -> None: ...
    def hand_over(self, messages: Iterable[OutboxMessage]) -> None: ...


class CodeIssuer:
    """Accepts or refuses requests for a code. What they publish is handed over to ``relay`` after its commit.

    ``reveal_codes`` returns the code to the caller; it is for development only.
    """

    def __init__(
        self,
        repository: RequestRepository,
        callers: CallerLimits,
        secrets: Secrets,
        audit: AuditRecorder,
        relay: Relay,
        *,
        test_numbers: TestNumbers = NO_TEST_NUMBERS,
        spending_guard: SpendingGuard = NO_SPENDING_LIMITS,
        reveal_codes: bool = False,
    ) -> None:
        self._repository = repository
        self._callers = callers
        self._deriver = secrets.deriver
        self._phones, self._seal, self._messages = secrets.phones, secrets.seal, secrets.messages
        self._networks = secrets.networks
        self._audit = audit
        self._relay = relay
        self._test_numbers = test_numbers
        self._spending_guard = spending_guard
        self._reveal_codes = reveal_codes

    async def issue(self, request: IssueCode) -> CodeIssued:
        """Accept a request, or raise the first of ``CALLER_LIMIT``, ``request.refuse``, ``SENDING_PAUSED``,
        ``COOLDOWN`` and ``DAILY_CAP`` that applies, or ``CALLER_LIMIT`` if the requester could not enter the code.

        A test number has only ``NUMBER_REFUSED`` after its last day, ``request.refuse``, and its own ``DAILY_CAP``.
        """  # noqa: D205  the summary is a list
        return await self._issue_audited(request, self._recipient(request))

    async def issue_to_inactive(self, request: IssueCode) -> CodeIssued | None:
        """As ``issue``, for a number that had no activity in 24 hours. None if it had: then nothing is counted on the
        caller, written or recorded, and ``issue`` can be called for the same request.

        A refusal also stands only if the number had no activity, or it could come before ``request.refuse``, which the
        one who calls does not know yet. The request must not be of an app's server, whose charge cannot be undone.
        """  # noqa: D205  the summary has two parts
        recipient = self._recipient(request, must_be_inactive=True)
        if self._repository.has_been_active(recipient.ref):
            return None
        try:
            return await self._issue_audited(request, recipient)
        except ActiveNumberError:
            return None

    def _recipient(self, request: IssueCode, *, must_be_inactive: bool = False) -> Recipient:
        number, source = E164(request.phone), request.source
        place, network = self._callers.place(source), self._callers.source_network(source)
        is_proven = request.registered and self._networks.ref(source) in request.known_networks
        requester = requester_of(request, place or "", network or "", is_proven=is_proven)
        return Recipient(number, self._phones.ref(number), self._test_numbers.find(number), requester, must_be_inactive)

    async def _issue_audited(self, request: IssueCode, recipient: Recipient) -> CodeIssued:
        try:
            if recipient.test is None:
                return await self._issue_limited(request, recipient)
            recipient.test.refuse_expired(datetime.now(UTC))
            return await self._issue(request, recipient)
        except ServiceError as error:
            if error.code is not ErrorCode.UNAVAILABLE:
                await self._audit.record_refusal(request, recipient.number, recipient.ref, error)
            raise

    async def _issue_limited(self, request: IssueCode, recipient: Recipient) -> CodeIssued:
        # Strangers in the network of known callers cannot use up what it may send to this number.
        counted_ref = None if recipient.requester.is_known else recipient.ref
        try:
            is_kept = await self._callers.charge_send(request.source, counted_ref)
        except ServiceError as error:
            await self._refuse_active(request, recipient, error)
            raise
        try:
            return await self._issue(request, recipient)
        except ActiveNumberError:
            await self._callers.undo_send(request.source, recipient.ref)
            raise
        except ServiceError:
            if is_kept or counted_ref is not None:
                await self._callers.refund_send(request.source, counted_ref)
            raise

    async def _refuse_active(self, request: IssueCode, recipient: Recipient, refusal: ServiceError) -> None:
        """Raise ``ActiveNumberError`` instead of a refusal if the number must be inactive, and is read to be active."""
        if not recipient.must_be_inactive or is_outage(refusal):
            return
        try:
            state = await self._repository.state(recipient.ref, request.purpose)
        except ServiceError as error:
            if is_outage(error):
                return
            raise
        if state.version:
            raise ActiveNumberError from refusal

    async def _issue(self, request: IssueCode, recipient: Recipient) -> CodeIssued:
        if request.refuse is not None:
            raise ServiceError(request.refuse)
        slots: list[str] = []
        try:
            if recipient.test is None:
                self._spending_guard.refuse_blocked(recipient.number, is_known=recipient.requester.is_known)
            return await self._decide(request, recipient, slots)
        except (ServiceError, ActiveNumberError) as error:
            # After ``UNAVAILABLE`` the request may have been written, or the slots cannot be given back anyway.
            if slots and not is_outage(error):
                await self._spending_guard.give_back(slots)
            if isinstance(error, ServiceError):
                await self._refuse_active(request, recipient, error)
            raise

    async def _decide(self, request: IssueCode, recipient: Recipient, slots: list[str]) -> CodeIssued:
        """Decide from the number's state, and again if it has changed. Adds the slots that were taken to ``slots``."""
        is_admitted = False
        state = self._repository.unread_state(recipient.ref)
        for _ in range(MAX_DECISIONS):
            state = state or await self._repository.state(recipient.ref, request.purpose)
            recipient = recipient.in_open_lane(state)
            recipient.refuse_limited(request, state)
            await self._refuse_shut_out(request, recipient)
            if recipient.needs_slot and not is_admitted:
                slots += await self._spending_guard.admit(recipient.number)
                is_admitted = True
            accepted = self._accepted(request, recipient, state)
            if await self._repository.accept(accepted):
                self._relay.hand_over(self._published(accepted, is_first=state.version == 0))
                return self._issued(request, recipient, accepted)
            state = None
        raise unavailable()

    async def _refuse_shut_out(self, request: IssueCode, recipient: Recipient) -> None:
        """Raise ``CALLER_LIMIT`` if the requester could not enter the code: before a message is paid for."""
        callers, source = self._callers, request.source
        places = callers.source_network(source), callers.source_app(source)
        if recipient.may_be_shut_out and (wait := await self._repository.check_wait(*places)) is not None:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=wait)

    def _published(self, accepted: AcceptedRequest, *, is_first: bool) -> Iterator[OutboxMessage]:
        """What is published. If no earlier message decides about the sender, the command carries this one."""
        for message in accepted.messages:
            if message.routing_key == SEND_QUEUE and is_first and not accepted.is_withheld:
                sealed = self._messages.seal(accepted.message_id, accepted.queued_message)
                yield carrying(message, accepted.message_id, sealed)
            else:
                yield message

    def _accepted(self, request: IssueCode, recipient: Recipient, state: NumberState) -> AcceptedRequest:
        verification = next_verification(state, new_id(), self._deriver.current_key_id, registered=request.registered)
        message_id, is_test = new_id(), recipient.test is not None
        number, ref = recipient.number, recipient.ref
        data = events.event_data(
            number, ref, request.purpose, request.dialect, verification.verification_id, is_test=is_test
        )
        event = events.requested(data, verification.version)
        return AcceptedRequest(
            phone_ref=ref,
            number_version=state.version,
            verification=verification,
            purpose=request.purpose,
            phone_sealed=self._seal.seal(number),
            dialect=request.dialect,
            client=request.client,
            language=request.language,
            message_id=message_id,
            created_at=state.now,
            messages=[event] if is_test else [send_command(message_id), event],
            notice=request.notice,
            is_withheld=recipient.is_withheld(request, state),
            send_network=recipient.requester.network,
            registered=request.registered,
            known_networks=request.known_networks,
            to_test_number=is_test,
        )

    def _issued(self, request: IssueCode, recipient: Recipient, accepted: AcceptedRequest) -> CodeIssued:
        verification = accepted.verification
        child(REQUESTED, request.purpose.value, request.dialect).inc()
        log.info(
            "code.requested",
            verification_id=str(verification.verification_id),
            message_id=str(accepted.message_id),
            purpose=request.purpose.value,
            dialect=request.dialect,
            resend=verification.version > 1,
            test_number=accepted.to_test_number,
            notice=accepted.notice.value,
            withheld=accepted.is_withheld,
        )
        return CodeIssued(
            verification_id=verification.verification_id,
            expires_in=int((verification.expires_at - accepted.created_at).total_seconds()),
            resend_after=request.cooldown,
            code=self._revealed(recipient, accepted) if self._reveal_codes else "",
        )

    def _revealed(self, recipient: Recipient, accepted: AcceptedRequest) -> str:
        if recipient.test is not None:
            return recipient.test.code
        verification = accepted.verification
        return self._deriver.code(
            verification.code_key_id, verification.verification_id, recipient.number, accepted.purpose
        )

    async def status(self, request: AskStatus) -> Status:
        """Return if a code may be requested now. Raises ``CALLER_LIMIT``, ``request.refuse`` or ``COOLDOWN``."""
        await self._callers.charge_lookup(request.source)
        if request.refuse is not None:
            raise ServiceError(request.refuse)
        number = E164(request.phone)
        now, sends = await self._repository.sends(self._phones.ref(number))
        if self._test_numbers.find(number) is None:
            refuse_cooldown(sends, request.cooldown, now)
        return Status()
