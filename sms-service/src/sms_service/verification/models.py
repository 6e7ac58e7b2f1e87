"""The values that pass between the rules of a code and its stores."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from shared.events.envelope import OutboxMessage
from shared.internal_api.sms import AccountNotice, IssueCode, Language, Purpose
from shared.networks import RequestSource
from shared.phone import E164
from shared.values import value
from sms_service.send_command import QueuedMessage
from sms_service.spending.prefixes import NumberPrefixes
from sms_service.verification.limits import TRIES_PER_CODE, NumberState, Verification
from sms_service.verification.send_limits import (
    KNOWN,
    KNOWN_LANES,
    SESSION,
    Requester,
    cooling_sends,
    is_within_share,
    refuse_cooldown,
    refuse_daily_cap,
    refuse_test_cap,
)
from sms_service.verification.test_numbers import TestNumber

WITHHELD = "withheld"
"""The failure of a message that was not sent, because strangers had used their share of what the number gets."""


class SourceNetworks(Protocol):
    """What requests and checks count on beside the number, as text; None if they count on nothing.

    Incorrect codes of strangers count on ``source_network`` and ``source_app``, and so do the sends to a number with an
    account on the network. ``place`` tells callers apart at a number without one, whether anything is charged to it or
    not; None with ``CALLER_LIMITS=off``.
    """

    def place(self, source: RequestSource) -> str | None: ...
    def source_network(self, source: RequestSource) -> str | None: ...
    def source_app(self, source: RequestSource) -> str | None: ...


class ActiveNumberError(Exception):
    """The number has activity, and the request is for one without."""


@value
class Recipient:
    """The number that a code is requested for, its reference, the test number that it may be, and who asks.

    ``must_be_inactive`` says that it gets no code if it had activity in 24 hours.
    """

    number: E164 = field(repr=False)
    ref: int
    test: TestNumber | None
    requester: Requester
    must_be_inactive: bool = False

    @property
    def may_be_shut_out(self) -> bool:
        """Whether the requester could not enter the code if their network or app had too many incorrect ones."""
        return self.test is None and self.requester.registered and not self.requester.is_known

    @property
    def needs_slot(self) -> bool:
        """Whether the request takes one of the few slots of a throttled prefix."""
        return self.test is None and not self.requester.is_known

    def in_open_lane(self, state: NumberState) -> "Recipient":
        """The same with the requester as the number counts them now."""
        return replace(self, requester=self.requester.in_open_lane(state.sends, state.now))

    def refuse_limited(self, request: IssueCode, state: NumberState) -> None:
        """Raise ``ActiveNumberError``, or a ``ServiceError`` with ``COOLDOWN`` or ``DAILY_CAP``, if one applies."""
        if self.must_be_inactive and state.version:
            raise ActiveNumberError
        if self.test is not None:
            refuse_test_cap(state.sends, state.now)
        else:
            refuse_cooldown(cooling_sends(state.sends, self.requester), request.cooldown, state.now)
            refuse_daily_cap(state.sends, self.requester, state.now)

    def is_withheld(self, request: IssueCode, state: NumberState) -> bool:
        """Whether nothing is sent: the owner of the number has been told often enough that they have an account.

        Everything else is as for a message that is sent, or the difference would show that there is an account.
        """
        if self.test is not None or request.notice is not AccountNotice.REGISTERED:
            return False
        return not is_within_share(state.sends, self.requester, state.now)


def requester_of(request: IssueCode, place: str, network: str, *, is_proven: bool) -> Requester:
    """Who requests a code. ``is_proven`` says that the caller's network is known to the number.

    A number with an account limits what a source ``network`` gets of the strangers' share, unless nothing is charged to
    it. At a number without one, ``place`` tells callers apart in any case, so that strangers cannot use up what it has.
    """
    label = network if request.registered else place
    requester = Requester(request.dialect, request.daily_cap, request.registered, label, stranger_network=label)
    if is_proven:
        # The site of an IPv6 address has strangers in it, too.
        proven_networks = (place, network) if place in ("", request.source.network) else ()
        return replace(requester, network=KNOWN, proven_networks=proven_networks)
    is_shown = request.registered and request.session_phone == request.phone
    return replace(requester, network=SESSION) if is_shown else requester


@value
class AcceptedRequest:
    """An accepted request for a code, written as a whole: number, verification, message and outbox.

    A message that ``is_withheld`` is finished from the start: the worker finds nothing to send.
    """

    phone_ref: int
    number_version: int
    verification: Verification
    purpose: Purpose
    phone_sealed: bytes
    dialect: str
    client: str
    language: Language
    message_id: UUID
    created_at: datetime
    messages: Sequence[OutboxMessage]
    send_network: str
    registered: bool
    known_networks: Sequence[int]
    to_test_number: bool = False
    notice: AccountNotice = AccountNotice.NONE
    is_withheld: bool = False

    @property
    def for_known(self) -> bool:
        """Whether it counts as the request of a caller who is known to the number."""
        return self.send_network in KNOWN_LANES

    @property
    def queued_message(self) -> QueuedMessage:
        """The message as it waits in the ledger."""
        return QueuedMessage(
            verification_id=self.verification.verification_id,
            phone_ref=self.phone_ref,
            phone_sealed=self.phone_sealed,
            purpose=self.purpose,
            code_key_id=self.verification.code_key_id,
            language=self.language,
            dialect=self.dialect,
            client=self.client,
            notice=self.notice,
            for_known=self.for_known,
            created_at=self.created_at,
            expires_at=self.verification.expires_at,
        )


@value
class CodeCheck:
    """A code to check: for a number, or for a verification alone.

    ``source_network`` and ``place`` are as in ``SourceNetworks``. ``network_ref`` refers to the caller's network, and
    ``session_ref`` to the number of the living session that they show: they may make the caller known to the number.
    ``app_is_full`` says that too many incorrect codes came by way of its app.
    """

    phone_ref: int | None
    purpose: Purpose
    verification_id: UUID | None
    source_network: str | None = None
    network_ref: int | None = None
    session_ref: int | None = None
    with_secret: bool = False
    network: str = ""
    app_is_full: bool = False
    place: str | None = None


@value
class CheckAttempt:
    """A counted attempt, whose code may now be compared. ``at`` is its mark on the number.

    ``lane`` is ``KNOWN``, ``SESSION``, or empty for strangers. ``tries`` are those at this code in it, and 0 of
    ``SESSION``, which has none at one code. If the attempt also counts on a ``source_network``, it does so in the
    window that ends at ``resets_at``. ``failures_left`` is how many more incorrect codes the limits on the number let
    the caller enter, at any code, and ``network_left`` how many those on the network and the app do; after a reserved
    try either may be negative. ``registered`` says that the number had an account.
    """

    verification_id: UUID
    phone_ref: int
    phone_sealed: bytes
    code_key_id: int
    tries: int
    failures_left: int
    version: int
    at: datetime
    registered: bool
    lane: str
    source_network: str | None = None
    resets_at: datetime | None = None
    network_left: int | None = None

    def within(self, app_left: int) -> "CheckAttempt":
        """The same with what the app has left, too."""
        return replace(self, network_left=app_left if self.network_left is None else min(self.network_left, app_left))

    @property
    def is_known(self) -> bool:
        """Whether it counts as that of a caller who is known to the number."""
        return self.lane in KNOWN_LANES

    @property
    def tries_left(self) -> int:
        """How many more codes the caller may enter after an incorrect one: the least of all limits."""
        left = min(TRIES_PER_CODE - self.tries, self.failures_left)
        return max(0, left if self.network_left is None else min(left, self.network_left))

    @property
    def is_limited(self) -> bool:
        """Whether, after an incorrect code, a new one would not help the caller either.

        Strangers cannot replace the code of a number with an account: they would get the same one, with no try left.
        A caller whose session makes them known no more has the tries of a stranger. At a number without an account, a
        new code has one try where it was asked for, however many incorrect codes came from there.
        """
        is_network_full = self.network_left is not None and self.network_left <= 0
        is_shut_out = self.registered and not self.is_known and (self.tries >= TRIES_PER_CODE or is_network_full)
        return (self.failures_left <= 0 and self.lane != SESSION) or is_shut_out


@dataclass
class AppFailure:
    """An incorrect code that was counted on an app, in the window that ends at ``resets_at``.

    It was counted before the code was compared. ``is_incorrect`` says that a stranger's code was compared and is
    incorrect, so that it stays counted even if a later step fails.
    """

    resets_at: datetime
    failures_left: int
    is_incorrect: bool = False


@value
class SuccessfulCheck:
    """A correct code, and the event to publish for the first one. Spending counts it under ``prefixes``, if any."""

    check: CodeCheck
    attempt: CheckAttempt
    event: OutboxMessage
    dialect: str
    prefixes: NumberPrefixes | None = None


@value
class Verified:
    """When a number was first verified, and the time now, both by the database's clock.

    ``repeats_only`` says that the code was used first in another network.
    """

    verified_at: datetime
    now: datetime
    repeats_only: bool
