"""Plans of our statements that PostgreSQL made while the tables were empty, and keeps until it analyses them."""

import asyncio
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

from shared.migrations.upgrade import migrate
from shared.postgres import Connection, connection, pool
from shared.sql import Statement

SQL = re.compile(r"\s*(select|with|insert|update|delete)\b[^{]*", re.DOTALL)
WHOLE_TABLES = {
    # tables that stay small
    "auth_service.accounts.comparison_store.LATE",
    "sms_service.sender_checks.store.ADD",
    "sms_service.sender_checks.store.BALANCES",
    "sms_service.sender_checks.store.TAKE",
    "sms_service.spending.store.BUDGET_WINDOWS",
    "sms_service.spending.store.CURRENT_STAGES",
    "sms_service.spending.store.PREFIX_STATES",
    "sms_service.spending.store.PREFIX_TRAFFIC",
    # retention, and commands after a backup was restored
    "auth_service.retention_store.FREED_NUMBERS",
    "auth_service.sessions.session_store.END_ANY",
    "sms_service.recovery.store.DELETE_VERIFICATIONS",
    "sms_service.retention_store.PURGE_CHECK_FAILURES",
    "sms_service.retention_store.PURGE_TEST_MESSAGES",
}
"""The statements that may read a whole table: no request waits for them."""


def statements_of(package: str) -> Iterator[tuple[str, str]]:
    """The name and the text of each statement of a service. Those with braces are parts of others."""
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if found.name.endswith("__main__") or ".migrations" in found.name:
            continue
        for name, value in vars(importlib.import_module(found.name)).items():
            text = value.text if isinstance(value, Statement) else value
            if name.isupper() and isinstance(text, str) and SQL.fullmatch(text):
                yield f"{found.name}.{name}", text


async def generic_plan(session: Connection, text: str) -> str:
    """The plan that does not depend on the values of the parameters."""
    statement = await session.prepare(text)
    await session.execute(f"prepare planned as {text}")
    nulls = ", ".join(["null"] * len(statement.get_parameters()))
    rows = await session.fetch(f"explain execute planned {f'({nulls})' if nulls else ''}")
    await session.execute("deallocate planned")
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(("package", "least"), [("auth_service", 90), ("sms_service", 60), ("contacts_service", 15)])
async def test_no_request_reads_a_whole_table_although_its_statement_was_planned_while_the_table_was_empty(
    postgres_url: str, database: str, package: str, least: int
) -> None:
    await asyncio.to_thread(migrate, postgres_url, database, package)
    reading, planned = set(), 0
    async with pool(postgres_url, database, size=1) as opened:
        await opened.execute("set plan_cache_mode = force_generic_plan")
        for name, text in statements_of(package):
            async with connection(opened) as session:
                planned += 1
                if "Seq Scan" in await generic_plan(session, text):
                    reading.add(name)

    assert planned >= least
    assert reading - WHOLE_TABLES == set()
