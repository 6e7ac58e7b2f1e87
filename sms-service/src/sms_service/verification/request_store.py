"""The SQL of accepted requests: numbers, verifications, messages and outbox, in one statement."""

from collections.abc import Sequence

from shared.outbox import columns
from shared.postgres import Connection
from shared.sql import load_sql
from sms_service.verification.models import WITHHELD, AcceptedRequest
from sms_service.verification.send_limits import KNOWN, WINDOW
from sms_service.verification.test_numbers import SENDER

ACCEPT_REQUESTS = load_sql("sms_service.verification", "accept_requests.sql")


async def accept_requests(conn: Connection, requests: Sequence[AcceptedRequest]) -> list[bool]:
    """Write accepted requests, all for different numbers. False for each whose number has changed in the meantime."""
    outbox = [(message, request.phone_ref) for request in requests for message in request.messages]
    outbox_ids, exchanges, routing_keys, bodies = columns([message for message, _ in outbox])
    rows = await conn.fetch(
        ACCEPT_REQUESTS.text,
        *ACCEPT_REQUESTS.arguments(
            **_request_columns(requests),
            outbox_ids=outbox_ids,
            exchanges=exchanges,
            routing_keys=routing_keys,
            bodies=bodies,
            outbox_phone_refs=[phone_ref for _, phone_ref in outbox],
            send_window=WINDOW,
            test_sender=SENDER,
            withheld=WITHHELD,
            known=KNOWN,
        ),
    )
    written = {row[0] for row in rows}
    return [request.phone_ref in written for request in requests]


def _request_columns(requests: Sequence[AcceptedRequest]) -> dict[str, list[object]]:
    """The requests as the arrays of the CTE ``requests``, by parameter."""
    verifications = [request.verification for request in requests]
    return {
        "phone_refs": [request.phone_ref for request in requests],
        "number_versions": [request.number_version for request in requests],
        "purposes": [request.purpose.value for request in requests],
        "verification_ids": [verification.verification_id for verification in verifications],
        "code_key_ids": [verification.code_key_id for verification in verifications],
        "created_at": [verification.created_at for verification in verifications],
        "expires_at": [verification.expires_at for verification in verifications],
        "tries": [verification.tries for verification in verifications],
        "versions": [verification.version for verification in verifications],
        "phones_sealed": [request.phone_sealed for request in requests],
        "dialects": [request.dialect for request in requests],
        "clients": [request.client for request in requests],
        "languages": [request.language.value for request in requests],
        "message_ids": [request.message_id for request in requests],
        "requested_at": [request.created_at for request in requests],
        "to_test_numbers": [request.to_test_number for request in requests],
        "send_networks": [request.send_network for request in requests],
        "known_tries": [verification.known_tries for verification in verifications],
        "registered": [request.registered for request in requests],
        "known_networks": [_array(request.known_networks) for request in requests],
        "notices": [request.notice.value for request in requests],
        "are_withheld": [request.is_withheld for request in requests],
    }


def _array(numbers: Sequence[int]) -> str:
    """The text of an array: ``unnest`` would flatten an array of arrays."""
    return f"{{{','.join(map(str, numbers))}}}"
