"""The SQL of verification events. Only the event of a correct code is written elsewhere: in ``succeed.sql``."""

from collections.abc import Sequence

from shared.events.envelope import OutboxMessage, new_id
from shared.outbox import columns
from shared.postgres import Connection
from shared.sql import load_sql
from sms_service.verification.audit_events import REFUSALS_PER_DAY, UNUSABLE_CHECKS_PER_DAY, VerificationEvent
from sms_service.verification.limits import LANE_LIMITS, TRIES_PER_CODE
from sms_service.verification.models import CodeCheck

RECORD_EVENT = load_sql("sms_service.verification", "record_event.sql")
RECORD_UNUSABLE = load_sql("sms_service.verification", "record_unusable.sql")


async def record_event(conn: Connection, event: VerificationEvent, messages: Sequence[OutboxMessage]) -> None:
    """Store an event and publish its messages, in one statement. The first message has the event's id."""
    ids, exchanges, routing_keys, bodies = columns(messages)
    await conn.execute(
        RECORD_EVENT.text,
        *RECORD_EVENT.arguments(
            ids=ids,
            exchanges=exchanges,
            routing_keys=routing_keys,
            bodies=bodies,
            phone_ref=event.phone_ref,
            verification_id=event.verification_id,
            kind=event.kind.value,
            purpose=event.purpose.value,
            dialect=event.dialect,
            network=event.network,
            detail=event.detail,
            retry_after=event.retry_after,
            tries_left=event.tries_left,
            max_refusals=REFUSALS_PER_DAY,
        ),
    )


async def record_unusable(
    conn: Connection, check: CodeCheck, dialect: str, network_failures: int, *, is_recorded: bool
) -> bool:
    """Store that a code was entered which no verification accepts, if there is a verification it belongs to.

    Returns whether a new code would not help the caller either: too many incorrect codes count on them.
    """
    is_limited = await conn.fetchval(
        RECORD_UNUSABLE.text,
        *RECORD_UNUSABLE.arguments(
            id=new_id(),
            phone_ref=check.phone_ref,
            verification_id=check.verification_id,
            purpose=check.purpose.value,
            source_network=check.source_network,
            place=check.place,
            network_ref=check.network_ref,
            session_ref=check.session_ref,
            app_is_full=check.app_is_full,
            dialect=dialect,
            network=check.network,
            is_recorded=is_recorded,
            max_tries=TRIES_PER_CODE,
            max_events=UNUSABLE_CHECKS_PER_DAY,
            **LANE_LIMITS,
            network_failures=network_failures,
        ),
    )
    return bool(is_limited)
