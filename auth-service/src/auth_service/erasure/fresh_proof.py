"""Fresh proof, where a session is not enough: the password now, or a code entered within the last five minutes."""

from typing import Protocol

from auth_service.accounts.model import StoredAccount
from auth_service.changes.model import ChangeLimits
from auth_service.client_context import ClientContexts
from auth_service.passwords.rate_limited_check import RateLimitedCheck
from auth_service.tickets.verifier import TicketVerifier
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import ProvenRequest
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys


class AccountRepository(Protocol):
    """The accounts."""

    async def find_stored(self, user_id: int) -> StoredAccount | None:
        """The account of this id."""


class FreshProof:
    """The rules. A session alone proves nothing here: its token may have been stolen a moment ago.

    Only what was proven counts as a change, so a stolen session cannot use up what its owner may do. Wrong passwords
    count as failed log-ins.
    """

    def __init__(
        self,
        repository: AccountRepository,
        *,
        password_check: RateLimitedCheck,
        tickets: TicketVerifier,
        phones: PhoneKeys,
        contexts: ClientContexts,
        change_limits: ChangeLimits,
    ) -> None:
        self._repository = repository
        self._password_check = password_check
        self._tickets = tickets
        self._phones = phones
        self._contexts = contexts
        self._change_limits = change_limits

    async def verify(self, request: ProvenRequest, purpose: Purpose, *, weight: int = 1) -> StoredAccount:
        """The account whose user proved anew who they are. A ticket has to be one for the purpose.

        Counts as so many changes of that purpose. Raises ``PROOF_REQUIRED`` without a proof, and ``CALLER_LIMIT``; with
        a password ``CREDENTIALS_REFUSED`` and ``UNAVAILABLE``, as a log-in; with a ticket ``CODE_REFUSED``.
        """
        if request.ticket is not None:
            account = await self._verify_ticket(request.user_id, request.ticket, purpose)
            await self._change_limits.charge(request.user_id, purpose.value, weight=weight)
            return account
        if request.secret is not None:
            return await self._verify_password(request, request.secret, purpose, weight)
        raise ServiceError(ErrorCode.PROOF_REQUIRED)

    async def _verify_ticket(self, user_id: int, text: str, purpose: Purpose) -> StoredAccount:
        ticket = self._tickets.verify(text, purpose)
        account = await self._repository.find_stored(user_id)
        if account is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        if ticket.repeats_only or account.account.phone != ticket.number or not account.accepts(ticket):
            raise ServiceError(ErrorCode.CODE_REFUSED)
        return account

    async def _verify_password(
        self, request: ProvenRequest, secret: str, purpose: Purpose, weight: int
    ) -> StoredAccount:
        number, network = E164(request.phone), self._contexts.user_network(request.source)
        async with self._password_check.start(number, self._phones.ref(number), request.source, network) as check:
            account = (await self._password_check.verify(check, secret, request.plain)).account
            async with self._password_check.refund_on_error(check):
                if account.user_id != request.user_id:
                    raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
                await self._change_limits.charge(request.user_id, purpose.value, weight=weight)
            await self._password_check.refund(check)
        return account
