"""Events about log-ins: failures counted by the minute, and unfamiliar log-ins, from the audit log."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

import orjson
import pytest
from support.auth import Auth, database, fresh_number, fresh_secret, refusal
from support.database import change_audit_rows

from auth_service.login_events.publisher import publish_login_events
from auth_service.login_events.store import LoginEventStore
from shared.errors import ErrorCode
from shared.events.logins import LoginFailed, LoginUnfamiliar
from shared.internal_api.auth import LOG_IN_WITH_CODE, LOG_IN_WITH_PASSWORD, LogInWithCode, LogInWithPassword
from shared.internal_api.sms import Purpose
from shared.postgres import Pool, connection, pool

MINUTE = (datetime.now(UTC) - timedelta(minutes=5)).replace(second=0, microsecond=0)
ADD = """
    insert into audit_log (id, at, action, user_id, phone_ref, client, dialect, network)
    values (gen_random_uuid(), $1, $2, $3, $4, $5, 'native', $6)
"""

MOVE = """
    with moved as (
        select id, at, date_trunc('minute', now()) - interval '2 minutes'
            + row_number() over (order by at) * interval '1 millisecond' as new_at
        from audit_log
    ), moved_sessions as (
        update sessions s set opened_at = m.new_at from moved m where s.opened_at = m.at
    )
    update audit_log a set at = m.new_at from moved m where a.id = m.id
"""


@dataclass
class AuditLog:
    """An audit log in a database without a running service, whose outbox nothing relays."""

    pool: Pool

    async def add(
        self,
        action: str,
        *,
        at: float = 0,
        user_id: int | None = None,
        phone_ref: int | None = 7,
        client: str = "ios",
        network: str = "203.0.113.0/24",
    ) -> None:
        async with connection(self.pool) as conn:
            await conn.execute(ADD, MINUTE + timedelta(seconds=at), action, user_id, phone_ref, client, network)

    async def events(self, kind: type[LoginFailed | LoginUnfamiliar]) -> list[dict[str, Any]]:
        """Take turns of a minute up to now, and read the data of the events of this kind from the outbox."""
        for _ in range(8):
            await publish_login_events(LoginEventStore(self.pool, lambda: None))
        async with connection(self.pool) as conn:
            rows = await conn.fetch("select body from outbox where routing_key = $1 order by id", kind.key)
        return [orjson.loads(row["body"])["data"] for row in rows]


@pytest.fixture
async def audit_log(postgres_url: str) -> AsyncIterator[AuditLog]:
    async with database(postgres_url) as name, pool(postgres_url, name, size=4) as connections:
        async with connection(connections) as conn:
            await conn.execute("update audit_readers set read_until = $1", MINUTE - timedelta(minutes=1))
        yield AuditLog(connections)


async def test_failures_at_one_number_from_one_network_are_one_event_a_minute(audit_log: AuditLog) -> None:
    for second in (1, 5, 59.5):
        await audit_log.add("log_in_with_password.refused", at=second, user_id=42)
    await audit_log.add("log_in_with_password.refused", at=60, user_id=42)
    await audit_log.add("log_in_with_password.refused", at=2, network="198.51.100.0/24")
    await audit_log.add("log_in_with_password.refused", at=3, phone_ref=8)

    events = await audit_log.events(LoginFailed)

    assert [(each["phone_ref"][-1], each["network"], each["failures"]) for each in events] == [
        ("7", "203.0.113.0/24", 3),
        ("7", "198.51.100.0/24", 1),
        ("8", "203.0.113.0/24", 1),
        ("7", "203.0.113.0/24", 1),
    ]
    assert events[0] == {
        "phone_ref": "0000000000000007",
        "user_id": "42",
        "method": "password",
        "reason": "incorrect",
        "failures": 3,
        "first_at": (MINUTE + timedelta(seconds=1)).isoformat().replace("+00:00", "Z"),
        "last_at": (MINUTE + timedelta(seconds=59.5)).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "network": "203.0.113.0/24",
        "dialect": "native",
        "client": "ios",
    }
    assert "user_id" not in events[2]


@pytest.mark.parametrize(
    ("action", "method", "reason"),
    [
        ("log_in_with_password.limited", "password", "limited"),
        ("log_in_with_password.banned", "password", "banned"),
        ("log_in_with_code.refused", "code", "refused"),
        ("log_in_with_code.banned", "code", "banned"),
        ("change_password.refused", "change_password", "incorrect"),
    ],
)
async def test_every_kind_of_failure_has_its_words(audit_log: AuditLog, action: str, method: str, reason: str) -> None:
    await audit_log.add(action, network="")
    (event,) = await audit_log.events(LoginFailed)
    assert (event["method"], event["reason"], event.get("network")) == (method, reason, None)


async def test_successes_and_erased_accounts_are_no_failures(audit_log: AuditLog) -> None:
    await audit_log.add("log_in_with_password.succeeded", user_id=1)
    await audit_log.add("log_in_with_password.refused", phone_ref=None)
    assert await audit_log.events(LoginFailed) == []


async def test_a_flood_of_failures_is_a_bounded_number_of_events(audit_log: AuditLog) -> None:
    async with connection(audit_log.pool) as conn:
        await conn.execute(
            "insert into audit_log (id, at, action, phone_ref, client, dialect, network) "
            "select gen_random_uuid(), $1, 'log_in_with_password.limited', n, '', 'tel', '203.0.113.0/24' "
            "from generate_series(1, 20000) as n",
            MINUTE,
        )
    await audit_log.add("log_in_with_password.refused")
    await audit_log.add("log_in_with_password.refused")

    events = await audit_log.events(LoginFailed)

    assert (len(events), events[0]["failures"]) == (1_000, 2)


async def test_each_entry_is_published_once_however_many_replicas_read(audit_log: AuditLog) -> None:
    await audit_log.add("log_in_with_password.refused")
    await audit_log.add("log_in_with_password.succeeded", user_id=5)
    await asyncio.gather(
        *(publish_login_events(LoginEventStore(audit_log.pool, lambda: None)) for _ in range(4)),
    )
    assert len(await audit_log.events(LoginFailed)) == 1
    assert len(await audit_log.events(LoginUnfamiliar)) == 1


async def test_the_present_minute_is_published_when_it_is_over(audit_log: AuditLog) -> None:
    async with connection(audit_log.pool) as conn:
        await conn.execute("update audit_readers set read_until = date_trunc('minute', now())")
        await conn.execute(ADD, await conn.fetchval("select now()"), "log_in_with_password.refused", None, 7, "", "")
    assert await audit_log.events(LoginFailed) == []


async def test_a_client_is_new_once(audit_log: AuditLog) -> None:
    await audit_log.add("register.succeeded", at=-400, user_id=5, network="")
    await audit_log.add("log_in_with_password.succeeded", at=0, user_id=5)
    await audit_log.add("log_in_with_password.succeeded", at=1, user_id=5, client="web")
    await audit_log.add("log_in_with_code.succeeded", at=2, user_id=5, client="web")
    await audit_log.add("reset_password.succeeded", at=3, user_id=6, client="web", network="")

    events = await audit_log.events(LoginUnfamiliar)

    assert [(each["user_id"], each["client"], each["cause"]) for each in events] == [
        ("5", "web", "log_in_with_password"),
        ("6", "web", "reset_password"),
    ]
    assert [(each["new_client"], each["new_network"]) for each in events] == [(True, False), (True, False)]


async def test_nothing_is_new_at_the_first_log_in_of_an_imported_user(audit_log: AuditLog) -> None:
    await audit_log.add("account.imported", at=-400, user_id=5, client="operator", network="")
    await audit_log.add("log_in_with_password.succeeded", at=0, user_id=5)
    await audit_log.add("log_in_with_password.succeeded", at=1, user_id=5, client="web", network="198.51.100.0/24")

    (event,) = await audit_log.events(LoginUnfamiliar)

    assert (event["client"], event["new_client"], event["new_network"]) == ("web", True, True)


async def test_a_network_is_new_to_a_user_with_known_networks(audit_log: AuditLog) -> None:
    await audit_log.add("register.succeeded", at=-400, user_id=5, network="")
    for second, network in enumerate(("203.0.113.0/24", "198.51.100.0/24", "203.0.113.0/24")):
        await audit_log.add("log_in_with_password.succeeded", at=second, user_id=5, network=network)

    (event,) = await audit_log.events(LoginUnfamiliar)

    assert (event["new_client"], event["new_network"], event["network"]) == (False, True, "198.51.100.0/24")


async def test_real_log_ins_become_events_without_a_number_or_an_address(auth: Auth) -> None:
    await auth.database.execute("update audit_readers set read_until = now() + interval '1 day'")  # the jobs wait
    number, stranger, secret = fresh_number(), fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    address = f"203.0.113.{secrets.randbelow(200) + 1}"

    def request(phone: str, guess: str) -> LogInWithPassword:
        return LogInWithPassword(phone=phone, secret=guess, address=address, dialect="maitian", client="pad")

    for phone in (number, number, stranger):
        refused = await refusal(auth.call(LOG_IN_WITH_PASSWORD, request(phone, fresh_secret())))
        assert refused is ErrorCode.CREDENTIALS_REFUSED
    session = await auth.call(LOG_IN_WITH_PASSWORD, request(number, secret))
    ticket = auth.ticket(number, Purpose.SIGN_IN)
    by_code = LogInWithCode(ticket=ticket, address="198.51.100.9", dialect="native", client="watch")
    await auth.call(LOG_IN_WITH_CODE, by_code)
    await two_minutes_pass(auth)

    refs = {auth.phones.ref(phone): phone for phone in (number, stranger)}
    failed = await auth.listener.wait_for(
        2, lambda event: event["type"] == LoginFailed.key and int(event["subject"], 16) in {ref % 2**64 for ref in refs}
    )
    unfamiliar = await auth.listener.of_user(user.account.user_id, 2, LoginUnfamiliar.key)

    assert sorted((each["data"]["failures"], each["data"].get("user_id")) for each in failed) == [
        (1, None), (2, str(user.account.user_id))
    ]  # fmt: skip
    pad, watch = sorted((each["data"] for each in unfamiliar), key=itemgetter("client"))  # events have no order
    assert (pad["session_id"], pad["new_client"], pad["new_network"]) == (str(session.session_id), True, True)
    assert (watch["cause"], watch["client"], watch["new_network"], watch["network"]) == (
        "log_in_with_code", "watch", True, "198.51.100.0/24"
    )  # fmt: skip
    published = orjson.dumps([failed, unfamiliar]).decode()
    assert not [word for word in (number, number[3:], stranger[3:], address, "198.51.100.9") if word in published]


async def two_minutes_pass(auth: Auth) -> None:
    """Move what happened into a minute that is over, in its order, and let the jobs begin with that minute."""
    async with auth.database.acquire() as conn:
        await change_audit_rows(conn, MOVE)
    await auth.database.execute(
        "update audit_readers set read_until = date_trunc('minute', now()) - interval '2 minutes'"
    )
