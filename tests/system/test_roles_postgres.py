"""PostgreSQL: what the role of each service may do, and what it may not."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from stack.folder import StackError
from stack.system import Stack

from shared import postgres
from shared.migrations.upgrade import ensure_database
from shared.postgres import Connection, url_of
from shared.process.schema import REVISION_OF_SESSION
from shared.process.startup import PrivilegedRoleError, UnreachableError

SERVICES = {"auth-service": "auth", "sms-service": "sms", "contacts-service": "contacts"}
MIGRATIONS = {f"{service}-migrate": database for service, database in SERVICES.items()}
DATABASES = {*SERVICES.values(), "postgres", "template1"}

PRIVILEGES = """
    select
        tablename,
        has_table_privilege(tablename::regclass, 'select, insert, update, delete'),
        has_table_privilege(tablename::regclass, 'truncate, references, trigger'),
        tableowner = current_user
    from pg_tables
    where schemaname = 'public' and tablename <> 'alembic_version'
"""
FORBIDDEN = {
    "a table": "create table stolen (id int)",
    "a temporary table": "create temporary table stolen (id int)",
    "a schema": "create schema stolen",
    "a function": "create function stolen() returns int language sql as 'select 1'",
    "a change of a table": "alter table outbox add stolen int",
    "an emptied table": "truncate outbox",
    "a dropped table": "drop table outbox",
    "the version of the schema, changed": "delete from alembic_version",
    "a role": "create role stolen superuser",
    "a database": "create database stolen",
    "the passwords": "select rolpassword from pg_authid",
    "a file": "select pg_read_file('PG_VERSION')",
    "a program": "copy outbox from program 'id'",
    "the rights of the operator": "set role haoma",
}


@asynccontextmanager
async def session(url: str | None, database: str) -> AsyncIterator[Connection]:
    assert url is not None
    opened = await asyncpg.connect(url_of(url, database))
    try:
        yield opened
    finally:
        await opened.close()


@pytest.mark.parametrize(("process", "own"), (SERVICES | MIGRATIONS).items())
async def test_a_role_connects_to_its_own_database_only(servers: Stack, process: str, own: str) -> None:
    url = servers.servers.postgres.url_as(process)
    async with session(url, own) as opened:
        attributes = await opened.fetchrow("select * from pg_roles where rolname = current_user")

    assert attributes is not None
    rights = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls")
    assert {right: attributes[right] for right in rights} == dict.fromkeys(rights, False)
    for other in DATABASES - {own}:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            async with session(url, other):
                pass


@pytest.mark.parametrize(("process", "database"), SERVICES.items())
async def test_a_service_changes_the_rows_of_its_tables_and_owns_none(
    servers: Stack, process: str, database: str
) -> None:
    async with session(servers.servers.postgres.url_as(process), database) as opened:
        tables = await opened.fetch(PRIVILEGES)
        assert len(tables) > 2
        assert {tuple(rest) for _, *rest in tables} == {(True, False, False)}

        for statement in FORBIDDEN.values():
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await opened.execute(statement)


@pytest.mark.parametrize(("process", "database"), SERVICES.items())
async def test_a_table_of_a_later_migration_is_the_services_too(servers: Stack, process: str, database: str) -> None:
    server = servers.servers.postgres
    async with session(server.url_as(f"{process}-migrate"), database) as owner:
        await owner.execute("create table later (id bigserial primary key, note text)")
        try:
            async with session(server.url_as(process), database) as service:
                assert await service.fetchval("insert into later (note) values ('kept') returning id") == 1
                assert await service.fetchval("update later set note = 'changed' returning note") == "changed"
                await service.execute("delete from later")
        finally:
            await owner.execute("drop table later")


async def test_contacts_service_cannot_read_a_row_of_auth(servers: Stack) -> None:
    url = servers.servers.postgres.url_as("contacts-service")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with session(url, "auth") as opened:
            await opened.fetch("select * from accounts")


@pytest.mark.parametrize("process", ["operator", "auth-service-migrate"])
async def test_a_service_in_production_refuses_a_role_that_may_do_more(servers: Stack, process: str) -> None:
    server = servers.servers.postgres
    url = server.url if process == "operator" else server.url_as(process)
    assert url is not None

    with pytest.raises(PrivilegedRoleError, match="POSTGRES_URL") as refusal:
        async with postgres.pool(url, "auth", restricted=True):
            pass
    assert "@" not in str(refusal.value)
    async with postgres.pool(url, "auth") as pool:
        assert await pool.fetchval("select count(*) >= 0 from accounts")


async def test_a_service_in_production_starts_with_its_own_role(servers: Stack) -> None:
    url = servers.servers.postgres.url_as("auth-service")
    assert url is not None

    async with postgres.pool(url, "auth", restricted=True) as pool:
        assert await pool.fetchval("select count(*) >= 0 from accounts")


@pytest.mark.parametrize("name", ["auth-service", "contacts-service", "sms-service", "sms-worker"])
def test_a_process_in_production_does_not_start_as_a_superuser(servers: Stack, name: str, tmp_path) -> None:
    config = tmp_path / "sms.toml"
    config.write_text(
        'spending = "none"\n[senders.own]\ntype = "webhook"\nurl = "https://sms.example"\nsecret_env = "OWN_SECRET"\n'
        '[[routes]]\nprefix = "+"\nsenders = ["own"]\n'
    )
    env = {
        "ENVIRONMENT": "production",
        "CALLER_LIMITS": "on",
        "POSTGRES_URL": servers.servers.postgres.url,
        "SMS_CONFIG_FILE": str(config),
        "OWN_SECRET": secrets.token_hex(32),
    }

    with pytest.raises(StackError, match="POSTGRES_URL names a role that may change the schema"):
        servers.launch(name, label=f"privileged-{name}", env=env)


async def test_a_migration_names_the_missing_database_that_its_role_may_not_create(servers: Stack) -> None:
    url = servers.servers.postgres.url_as("auth-service-migrate")
    assert url is not None

    with pytest.raises(UnreachableError, match='no database "elsewhere"'):
        await ensure_database(url, "elsewhere")


async def test_a_role_gets_the_password_of_the_next_start() -> None:
    with Stack.private() as stack:
        server = stack.servers.postgres
        server.start()
        old = server.url_as("auth-service")
        server.passwords.by_variable["AUTH_POSTGRES_PASSWORD"] = "another"
        server._create_roles()

        async with session(server.url_as("auth-service"), "auth") as opened:
            assert await opened.fetchval("select current_user") == "auth_service"
        with pytest.raises(asyncpg.InvalidPasswordError):
            async with session(old, "auth"):
                pass
        logs = server.process.logs() + stack.folder.log("roles").read_text()
        assert all(password not in logs for password in server.passwords.by_variable.values())


async def test_a_migration_sees_the_revision_of_a_service_that_runs(servers: Stack) -> None:
    url = servers.servers.postgres.url_as("auth-service")
    assert url is not None
    async with (
        postgres.pool(url, "auth", package="auth_service"),
        session(servers.servers.postgres.url_as("auth-service-migrate"), "auth") as migrating,
    ):
        query = (
            f"select count(*) from pg_stat_activity where {REVISION_OF_SESSION} = '0001' and usename = 'auth_service'"
        )
        assert await migrating.fetchval(query) >= 1
