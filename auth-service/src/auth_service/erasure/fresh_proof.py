"""Fresh proof, where a session is not enough: the password now, or a code entered within the last five minutes."""

from typing import Protocol

from auth_service.accounts.model import StoredAccount
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
    """The rules. A session alone proves nothing here: its token may have been stolen a moment ago."""

    def __init__(
        self,
        repository: AccountRepository,
        *,
        password_check: RateLimitedCheck,
        tickets: TicketVerifier,
        phones: PhoneKeys,
    ) -> None:
        self._repository = repository
        self._password_check = password_check
        self._tickets = tickets
        self._phones = phones

    async def verify(self, request: ProvenRequest, purpose: Purpose) -> StoredAccount:
        """The account whose user proved anew who they are. A ticket has to be one for the purpose.

        Raises ``PROOF_REQUIRED`` without a proof; with a password ``CREDENTIALS_REFUSED``, ``CALLER_LIMIT`` and
        ``UNAVAILABLE``, as a log-in; with a ticket ``CODE_REFUSED``.
        """
        if request.ticket is not None:
            return await self._verify_ticket(request.user_id, request.ticket, purpose)
        if request.secret is not None:
            return await self._verify_password(request, request.secret)
        raise ServiceError(ErrorCode.PROOF_REQUIRED)

    async def _verify_ticket(self, user_id: int, text: str, purpose: Purpose) -> StoredAccount:
        ticket = self._tickets.verify(text, purpose)
        account = await self._repository.find_stored(user_id)
        if account is None:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        if ticket.repeats_only or account.account.phone != ticket.number or not account.accepts(ticket):
            raise ServiceError(ErrorCode.CODE_REFUSED)
        return account

    async def _verify_password(self, request: ProvenRequest, secret: str) -> StoredAccount:
        number = E164(request.phone)
        async with self._password_check.start(number, self._phones.ref(number), request.source) as check:
            account = (await self._password_check.verify(check, secret, request.plain)).account
            await self._password_check.refund(check)
        if account.user_id != request.user_id:
            raise ServiceError(ErrorCode.CREDENTIALS_REFUSED)
        return account
