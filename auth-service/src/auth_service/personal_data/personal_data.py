"""A copy of a user's data, for the user. A session may be stolen, and this is all of it, so it takes a fresh proof."""

from typing import Protocol

import structlog
from prometheus_client import Counter

from auth_service.accounts.model import StoredAccount
from auth_service.audit import AuditEntry, AuditLog
from auth_service.client_context import ClientContexts
from auth_service.erasure.fresh_proof import FreshProof
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.personal_data.account import ActivityPage, ExportMe, ListActivity, PersonalAccount
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys

WEIGHT = 30
"""How many changes of an account one copy counts as: it is as much work, and no one needs many."""
REFUSED_EXPORTS = {
    ErrorCode.CREDENTIALS_REFUSED: "export.refused",
    ErrorCode.CODE_REFUSED: "export.code_refused",
    ErrorCode.CALLER_LIMIT: "export.limited",
}
"""The refusals that the audit log has, by their error."""

EXPORTS = Counter("haoma_personal_data_exports_total", "Copies of their data that users were given", ["dialect"])

log = structlog.get_logger()


class PersonalDataRepository(Protocol):
    """Where a user's data is read."""

    async def account(self, stored: StoredAccount) -> PersonalAccount:
        """What is stored about the user, but for the rows of the audit log."""

    async def activity(self, request: ListActivity) -> ActivityPage:
        """A page of the rows of the audit log about the user."""


class PersonalData:
    """The rules. The gateway has resolved the caller's session, so ``user_id`` is the caller."""

    def __init__(
        self,
        repository: PersonalDataRepository,
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

    async def export(self, request: ExportMe) -> PersonalAccount:
        """The account of the caller. Raises as ``FreshProof.verify``, and ``UNAUTHENTICATED`` if it is banned.

        A refused proof counts and is audited as a failed log-in.
        """
        try:
            stored = await self._fresh_proof.verify(request, Purpose.EXPORT, weight=WEIGHT)
        except ServiceError as refusal:
            if action := REFUSED_EXPORTS.get(refusal.code):
                await self._record(request, action)
            raise
        if stored.is_banned:
            raise ServiceError(ErrorCode.UNAUTHENTICATED)
        await self._record(request, "export.succeeded")
        EXPORTS.labels(request.dialect).inc()
        log.info("personal_data.exported", user_id=request.user_id)
        return await self._repository.account(stored)

    async def activity(self, request: ListActivity) -> ActivityPage:
        """A page of what the audit log says about the caller, who was given a copy of their data just before."""
        return await self._repository.activity(request)

    async def _record(self, request: ExportMe, action: str) -> None:
        phone_ref, context = self._phones.ref(E164(request.phone)), self._contexts.of(request)
        await self._audit.record(AuditEntry(action, phone_ref, context, request.user_id))
