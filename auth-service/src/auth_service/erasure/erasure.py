"""Erasing an account. A session may be stolen, and this cannot be undone, so it takes a fresh proof."""

from typing import Protocol

import structlog
from prometheus_client import Counter

from auth_service.accounts.model import StoredAccount
from auth_service.audit import ERASED, AuditEntry, AuditLog
from auth_service.client_context import ClientContext, ClientContexts
from auth_service.erasure.fresh_proof import FreshProof
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import Erase
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys

REFUSED_ERASURES = {
    ErrorCode.CREDENTIALS_REFUSED: "erase.refused",
    ErrorCode.CODE_REFUSED: "erase.code_refused",
    ErrorCode.CALLER_LIMIT: "erase.limited",
}
"""The refusals of an erasure that the audit log has, by their error."""

ERASED_ACCOUNTS = Counter("haoma_accounts_erased_total", "Accounts that their users erased", ["dialect"])

log = structlog.get_logger()


class ErasureRepository(Protocol):
    """Where accounts are erased."""

    async def erase(self, account: StoredAccount, entry: AuditEntry) -> bool:
        """Delete the account with all that belongs to it; False when it has changed since its user was verified."""


class Erasure:
    """The rules. The gateway has resolved the caller's session, so ``user_id`` is the caller."""

    def __init__(
        self,
        repository: ErasureRepository,
        *,
        fresh_proof: FreshProof,
        audit: AuditLog,
        phones: PhoneKeys,
        contexts: ClientContexts,
    ) -> None:
        self._repository = repository
        self._fresh_proof = fresh_proof
        self._audit = audit
        self._phones = phones
        self._contexts = contexts

    async def erase(self, request: Erase) -> None:
        """Erase the account.

        Raises what ``FreshProof.verify`` raises, and ``UNAUTHENTICATED`` when the account is erased already, banned, or
        has changed since the proof. A refused proof counts and is audited as a failed log-in.
        """
        try:
            account = await self._fresh_proof.verify(request, Purpose.ERASE)
        except ServiceError as refusal:
            if action := REFUSED_ERASURES.get(refusal.code):
                phone_ref, context = self._phones.ref(E164(request.phone)), self._contexts.of(request)
                await self._audit.record(AuditEntry(action, phone_ref, context, request.user_id))
            raise
        # The audit log keeps that an account was erased, and not whose.
        entry = AuditEntry(ERASED, None, ClientContext(request.dialect, request.client))
        if not await self._repository.erase(account, entry):
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        ERASED_ACCOUNTS.labels(request.dialect).inc()
        log.info("account.erased", user_id=request.user_id)
