"""The SQL of checks, for many numbers at a time: counting attempts, and recording correct codes."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.postgres import Connection
from shared.sql import load_sql
from shared.tickets import LIFETIME, MAX_REPEATS, REPEAT_WINDOW
from sms_service.otp import CODE_LIFETIME
from sms_service.spending.policy import BUCKET_SECONDS
from sms_service.verification.limits import LANE_LIMITS, NETWORK_FAILURE_WINDOW, TRIES_PER_CODE
from sms_service.verification.models import AppFailure, CheckAttempt, CodeCheck, SuccessfulCheck, Verified
from sms_service.verification.send_limits import KNOWN

COUNT_ATTEMPTS = load_sql("sms_service.verification", "count_attempts.sql")
SUCCEED = load_sql("sms_service.verification", "succeed.sql")

# The table of source networks counts apps too: ``app shop`` is not the name of a network.
COUNT_APP_FAILURE = """
    insert into check_failures_by_network as f (network, failures, resets_at) values ($1, 1, now() + $2)
    on conflict (network) do update set
        failures = case when f.failures > 0 and f.resets_at > now() then f.failures + 1 else 1 end,
        resets_at = case when f.failures > 0 and f.resets_at > now() then f.resets_at else excluded.resets_at end
    where not (f.failures > 0 and f.resets_at > now()) or f.failures < $3
    returning resets_at, $3 - f.failures as failures_left
"""

WAITS = """
    select f.network, ceil(extract(epoch from f.resets_at - now()))::int as wait
    from unnest($1::text[], $2::int[]) as asked (network, max_failures)
    join check_failures_by_network f on f.network = asked.network
    where f.failures >= asked.max_failures and f.resets_at > now()
"""

REFUND_APP_FAILURE = """
    update check_failures_by_network set failures = greatest(failures - 1, 0) where network = $1 and resets_at = $2
"""


async def count_attempts(
    conn: Connection, checks: Sequence[CodeCheck], network_failures: int
) -> list[CheckAttempt | None]:
    """Count an attempt for each check; None if there is no code to compare.

    No two checks may share a number or a source network. A check without a number must be the only one.
    """
    rows = await conn.fetch(
        COUNT_ATTEMPTS.text,
        *COUNT_ATTEMPTS.arguments(
            phone_refs=[check.phone_ref for check in checks],
            purposes=[check.purpose.value for check in checks],
            verification_ids=[check.verification_id for check in checks],
            source_networks=[check.source_network for check in checks],
            places=[check.place for check in checks],
            network_refs=[check.network_ref for check in checks],
            session_refs=[check.session_ref for check in checks],
            with_secrets=[check.with_secret for check in checks],
            are_apps_full=[check.app_is_full for check in checks],
            lone_verification_id=checks[0].verification_id if checks[0].phone_ref is None else None,
            tries_per_code=TRIES_PER_CODE,
            ticket_lifetime=LIFETIME,
            code_lifetime=CODE_LIFETIME,
            repeat_window=REPEAT_WINDOW,
            max_repeats=MAX_REPEATS,
            **LANE_LIMITS,
            network_failures=network_failures,
            network_window=NETWORK_FAILURE_WINDOW,
        ),
    )
    attempts = [CheckAttempt(**row) for row in rows]
    if checks[0].phone_ref is None:
        return [attempts[0] if attempts else None]
    by_number = {attempt.phone_ref: attempt for attempt in attempts}
    return [by_number.get(check.phone_ref) for check in checks if check.phone_ref is not None]


async def succeed(conn: Connection, successes: Sequence[SuccessfulCheck]) -> list[Verified | None]:
    """Record correct codes; None where a newer verification has replaced the one of the attempt, or it was used.

    No two may share a number or a source network.
    """
    rows = await conn.fetch(
        SUCCEED.text,
        *SUCCEED.arguments(
            phone_refs=[success.attempt.phone_ref for success in successes],
            correct_checks=[_success_row(success) for success in successes],
            known=KNOWN,
            max_repeats=MAX_REPEATS,
            repeat_window=REPEAT_WINDOW,
            bucket_seconds=BUCKET_SECONDS,
        ),
    )
    verified = {row[0]: Verified(row[1], row[2], row[3]) for row in rows}
    return [verified.get(success.attempt.verification_id) for success in successes]


def _success_row(success: SuccessfulCheck) -> dict[str, object]:
    attempt, check, event = success.attempt, success.check, success.event
    range_, network, country = success.prefixes or (None, None, None)
    return {
        "phone_ref": attempt.phone_ref,
        "verification_id": attempt.verification_id,
        "attempted_at": attempt.at,
        "source_network": attempt.source_network,
        "resets_at": attempt.resets_at,
        "dialect": success.dialect,
        "range": range_,
        "network": network,
        "country": country,
        "event_id": event.id,
        "exchange": event.exchange,
        "routing_key": event.routing_key,
        "body": event.body,
        "lane": attempt.lane,
        "network_ref": check.network_ref,
        "with_secret": check.with_secret,
        "caller_network": check.network,
    }


async def count_app_failure(conn: Connection, app: str, max_failures: int) -> AppFailure | None:
    """Count an incorrect code of an app; None if the app has had too many."""
    row = await conn.fetchrow(COUNT_APP_FAILURE, app, NETWORK_FAILURE_WINDOW, max_failures)
    return None if row is None else AppFailure(**row)


async def waits(conn: Connection, max_failures: Mapping[str, int]) -> dict[str, int]:
    """The networks and apps among these that had as many incorrect codes, and the seconds until they may enter more."""
    rows = await conn.fetch(WAITS, list(max_failures), list(max_failures.values()))
    return {row["network"]: row["wait"] for row in rows}


async def refund_app_failure(conn: Connection, app: str, resets_at: datetime) -> None:
    """Subtract a counted incorrect code, if its window still lasts."""
    await conn.execute(REFUND_APP_FAILURE, app, resets_at)
