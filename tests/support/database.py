"""Access to the services' tables for what no API offers: moving rows into the past, and searching for secrets."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from shared.phone import PhoneKeys, parse
from shared.postgres import url_of

DATABASES = ("auth", "sms", "contacts")

AGE_NUMBER = """
    update number_activity set
        sends = array(select at - $2::interval from unnest(sends) as at),
        withheld_sends = array(select at - $2::interval from unnest(withheld_sends) as at),
        failures = array(select at - $2::interval from unnest(failures) as at)
    where phone_ref = $1
"""
AGE_VERIFICATIONS = """
    update verifications set
        created_at = created_at - $2::interval,
        expires_at = expires_at - $2::interval,
        verified_at = verified_at - $2::interval
    where phone_ref = $1
"""
UNUSE_CODES = """
    update verifications set verified_at = null, verified_network = null, repeats = 0 where phone_ref = $1
"""
AGE_REFRESH_TOKENS = """
    update refresh_tokens set spent_at = spent_at - $2::interval
    where session_id = (select session_id from refresh_tokens where token_hash = $1)
"""
UNSEEN = """
    with away as (
        update accounts set
            last_login_at = last_login_at - make_interval(days => $2),
            last_used_at = last_used_at - make_interval(days => $2)
        where phone = $1 returning user_id
    )
    delete from sessions where user_id in (select user_id from away)
"""
NETWORKS_OF_LOG_INS = """
    select network from audit_log where phone_ref = $1 and action like 'log_in_with_password.%' order by at, id
"""

CHANGE_AUDIT_ROWS = "select set_config('haoma.audit_change', $1, false)"


async def change_audit_rows(conn: "asyncpg.Connection[asyncpg.Record]", statement: str, *arguments: object) -> None:
    """Run a statement that changes rows of an audit trail, as only their owner can, and only in this way."""
    await conn.execute(CHANGE_AUDIT_ROWS, "on")
    try:
        await conn.execute(statement, *arguments)
    finally:
        await conn.execute(CHANGE_AUDIT_ROWS, "")


@dataclass(frozen=True)
class Tables:
    """Connections to the three databases."""

    connections: dict[str, "asyncpg.Connection[asyncpg.Record]"]
    keys: PhoneKeys

    @classmethod
    @asynccontextmanager
    async def connect(cls, server: str, phone_key: str) -> AsyncIterator["Tables"]:
        opened = {name: await asyncpg.connect(url_of(server, name)) for name in DATABASES}
        try:
            yield cls(opened, PhoneKeys(bytes.fromhex(phone_key)))
        finally:
            for connection in opened.values():
                await connection.close()

    def ref(self, number: str) -> int:
        return self.keys.ref(parse(number))

    async def age(self, number: str, seconds: int) -> None:
        """Move a number's sends, failed checks and verifications into the past."""
        ref, past = self.ref(number), timedelta(seconds=seconds)
        for statement in (AGE_NUMBER, AGE_VERIFICATIONS):
            await self.connections["sms"].execute(statement, ref, past)

    async def unuse_codes(self, number: str) -> None:
        """Make the codes of a number as if no one had entered them yet."""
        await self.connections["sms"].execute(UNUSE_CODES, self.ref(number))

    async def age_refresh_tokens(self, token: str, seconds: float) -> None:
        """Move the uses of all refresh tokens of a token's session into the past."""
        token_hash, past = hashlib.sha256(token.encode()).digest(), timedelta(seconds=seconds)
        await self.connections["auth"].execute(AGE_REFRESH_TOKENS, token_hash, past)

    async def ban(self, number: str) -> None:
        """Ban the account of a number, as an operator does."""
        await self.connections["auth"].execute("update accounts set banned_at = now() where phone = $1", parse(number))

    async def unseen(self, number: str, days: int) -> None:
        """Let the user of a number be away for so many days, in which their sessions end."""
        await self.connections["auth"].execute(UNSEEN, parse(number), days)

    async def networks_of_log_ins(self, number: str) -> list[str]:
        """The networks that the audit log has for log-ins with a password, oldest first."""
        rows = await self.connections["auth"].fetch(NETWORKS_OF_LOG_INS, self.ref(number))
        return [row["network"] for row in rows]

    async def everything(self) -> dict[str, str]:
        """The text of every row of every table, by ``database.table``."""
        contents = {}
        for database, connection in self.connections.items():
            rows = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
            for (table,) in rows:
                records = await connection.fetch(f'select * from "{table}"')
                contents[f"{database}.{table}"] = "\n".join(_text(record) for record in records)
        return contents


def _text(record: asyncpg.Record) -> str:
    """A row as text. Bytes are shown both as text and as hex, so that a search finds a secret in either form."""
    values = []
    for value in record.values():
        values.append(f"{value!r} {value.hex()}" if isinstance(value, bytes) else str(value))
    return " | ".join(values)
