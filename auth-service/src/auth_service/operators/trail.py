"""The audit log as operators list it."""

from datetime import UTC, datetime, timedelta

from auth_service.operators.audit_reader_store import AuditFilter, AuditReader
from shared.internal_api.operators.accounts import AuditRows, ListAudit

MAX_ROWS = 1_000
LAST_DAY = timedelta(days=1)


class Trail:
    """Lists rows. Their numbers are masked for everyone."""

    def __init__(self, reader: AuditReader) -> None:
        self._reader = reader

    async def list(self, request: ListAudit) -> AuditRows:
        """The oldest rows that match: those of the last day, if nothing else says which."""
        since = request.since
        if request.phone is None and request.user_id is None and since is None:
            since = datetime.now(UTC) - LAST_DAY
        wanted = AuditFilter(request.phone, request.user_id, since, request.by, MAX_ROWS + 1)
        entries = await self._reader.find(wanted)
        return AuditRows(rows=[entry.row for entry in entries[:MAX_ROWS]], has_more=len(entries) > MAX_ROWS)
