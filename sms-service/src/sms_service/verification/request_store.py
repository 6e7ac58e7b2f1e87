"""The SQL of accepted requests: numbers, verifications, messages and outbox, in one statement."""

from collections.abc import Sequence

from shared.events.envelope import OutboxMessage
from shared.outbox import row_of
from shared.postgres import Connection
from shared.sql import load_sql
from sms_service.verification.models import WITHHELD, AcceptedRequest
from sms_service.verification.send_limits import WINDOW
from sms_service.verification.test_numbers import SENDER

ACCEPT_REQUESTS = load_sql("sms_service.verification", "accept_requests.sql")


async def accept_requests(conn: Connection, requests: Sequence[AcceptedRequest]) -> list[bool]:
    """Write accepted requests, all for different numbers. False for each whose number has changed in the meantime."""
    rows = await conn.fetch(
        ACCEPT_REQUESTS.text,
        *ACCEPT_REQUESTS.arguments(
            requests=[_request_row(request) for request in requests],
            messages=[_message_row(each, request) for request in requests for each in request.messages],
            send_window=WINDOW,
            test_sender=SENDER,
            withheld=WITHHELD,
        ),
    )
    written = {row[0] for row in rows}
    return [request.phone_ref in written for request in requests]


def _request_row(request: AcceptedRequest) -> dict[str, object]:
    verification = request.verification
    return {
        "phone_ref": request.phone_ref,
        "number_version": request.number_version,
        "purpose": request.purpose.value,
        "verification_id": verification.verification_id,
        "code_key_id": verification.code_key_id,
        "created_at": verification.created_at,
        "expires_at": verification.expires_at,
        "tries": verification.tries,
        "known_tries": verification.known_tries,
        "version": verification.version,
        "phone_sealed": request.phone_sealed,
        "dialect": request.dialect,
        "client": request.client,
        "language": request.language.value,
        "message_id": request.message_id,
        "requested_at": request.created_at,
        "to_test_number": request.to_test_number,
        "send_network": request.send_network,
        "registered": request.registered,
        "known_networks": request.known_networks,
        "notice": request.notice.value,
        "is_withheld": request.is_withheld,
        "for_known": request.for_known,
    }


def _message_row(message: OutboxMessage, request: AcceptedRequest) -> dict[str, object]:
    return {**row_of(message), "phone_ref": request.phone_ref}
