"""What operators ask, in the audit log: before it is done, and once more if it is refused."""

from auth_service.audit import AuditEntry, AuditLog, Operator
from auth_service.client_context import OPERATOR
from shared.internal_api.operators.accounts import RecordRequest
from shared.phone import PhoneKeys


class RequestLog:
    """Writes a row for each request of an operator that has a reason."""

    def __init__(self, audit: AuditLog, phones: PhoneKeys) -> None:
        self._audit = audit
        self._phones = phones

    async def record(self, request: RecordRequest) -> None:
        """Write one row. It has the reference of the number, and not the number."""
        await self._audit.record(
            AuditEntry(
                request.action,
                None if request.phone is None else self._phones.ref(request.phone),
                OPERATOR,
                request.user_id,
                request.session_id,
                detail=request.detail,
                operator=Operator(request.operator, request.reason),
            )
        )
