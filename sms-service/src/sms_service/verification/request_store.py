"""Writing accepted requests: numbers, verifications, messages and what the outbox is to tell, in one statement."""

from collections.abc import Sequence

from shared.outbox import columns
from shared.postgres import Connection
from sms_service.verification.limits import WINDOW
from sms_service.verification.models import AcceptedRequest
from sms_service.verification.test_numbers import SENDER

# A number's row decides for all that hangs on it: when it is no longer as it was read it does not change, and the
# others have nothing to follow. Rows are taken in the order that ``check_store`` tells.
# A message to a test number is finished as it is written: nobody carries it.
ACCEPT = """
    with asked as (
        select * from unnest(
            $1::bigint[], $2::bigint[], $3::text[], $4::uuid[], $5::int[], $6::timestamptz[], $7::timestamptz[],
            $8::int[], $9::int[], $10::bytea[], $11::text[], $12::text[], $13::text[], $14::uuid[], $15::timestamptz[],
            $16::bool[]
        ) as asked (
            phone_ref, number_version, purpose, verification_id, code_key_id, created_at, expires_at,
            tries, version, phone_sealed, dialect, client, language, message_id, asked_at,
            is_test
        )
    ), number as (
        insert into number_activity (phone_ref, sends, version)
        select phone_ref, array[asked_at], number_version + 1 from asked order by phone_ref
        on conflict (phone_ref) do update set
            sends = array(
                select at from unnest(number_activity.sends) as at where at > excluded.sends[1] - $22::interval order by at
            ) || excluded.sends,
            version = excluded.version
        where number_activity.version = excluded.version - 1
        returning phone_ref
    ), verification as (
        insert into verifications (
            phone_ref, purpose, verification_id, code_key_id, created_at, expires_at, tries, version,
            phone_sealed, dialect, client
        )
        select phone_ref, purpose, verification_id, code_key_id, created_at, expires_at, tries, version,
            phone_sealed, dialect, client
        from asked join number using (phone_ref)
        on conflict (phone_ref, purpose) do update set
            verification_id = excluded.verification_id, code_key_id = excluded.code_key_id,
            created_at = excluded.created_at, expires_at = excluded.expires_at, tries = excluded.tries,
            verified_at = null, version = excluded.version,
            phone_sealed = excluded.phone_sealed, dialect = excluded.dialect, client = excluded.client
    ), message as (
        insert into messages (
            message_id, verification_id, phone_ref, phone_sealed, purpose, code_key_id, dialect, state,
            created_at, expires_at, language, sender, finished_at, client
        )
        select message_id, verification_id, phone_ref, case when not is_test then phone_sealed end,
            purpose, code_key_id, dialect, case when is_test then 'sent' else 'queued' end,
            asked_at, expires_at, language, case when is_test then $23 else '' end,
            case when is_test then asked_at end, client
        from asked join number using (phone_ref)
    ), told as (
        insert into outbox (id, exchange, routing_key, body)
        select id, exchange, routing_key, body
        from unnest($17::uuid[], $18::text[], $19::text[], $20::bytea[], $21::bigint[])
            as told (id, exchange, routing_key, body, phone_ref)
        join number using (phone_ref)
    )
    select phone_ref from number
"""


async def write(connection: Connection, requests: Sequence[AcceptedRequest]) -> list[bool]:
    """Write accepted requests, all for different numbers. Of each: False when its number has changed meanwhile."""
    told = [(message, accept.phone_ref) for accept in requests for message in accept.messages]
    rows = await connection.fetch(
        ACCEPT,
        *zip(*map(_row, requests), strict=True),
        *columns([message for message, _ in told]),
        [ref for _, ref in told],
        WINDOW,
        SENDER,
    )
    written = {row[0] for row in rows}
    return [accept.phone_ref in written for accept in requests]


def _row(accept: AcceptedRequest) -> tuple[object, ...]:
    """A request as a row of ``asked``."""
    made = accept.verification
    return (
        accept.phone_ref,
        accept.number_version,
        accept.purpose.value,
        made.verification_id,
        made.code_key_id,
        made.created_at,
        made.expires_at,
        made.tries,
        made.version,
        accept.phone_sealed,
        accept.dialect,
        accept.client,
        accept.language.value,
        accept.message_id,
        accept.created_at,
        accept.to_test_number,
    )
