"""auth-service as a process: its commands, its token, its health."""

import asyncio
import os
import subprocess
import sys

import aiohttp
import asyncpg
from pydantic import SecretStr
from support.auth import Auth, database, fresh_number, fresh_secret, refusal, token_of

from shared.errors import ErrorCode
from shared.internal_api.auth import LOOK_UP, LookUp
from shared.internal_api.client import internal_client
from shared.postgres import url_of


async def test_two_concurrent_migrations_apply_once(postgres_url: str, amqp_url: str) -> None:
    async with database(postgres_url) as name:
        session = await asyncpg.connect(url_of(postgres_url, name))
        await session.execute("drop schema public cascade; create schema public")
        environ = {
            **os.environ,
            "ENVIRONMENT": "development",
            "POSTGRES_URL": postgres_url,
            "AMQP_URL": amqp_url,
            "AUTH_DATABASE": name,
        }
        started = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "auth_service", "migrate", env=environ, stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        outputs = await asyncio.gather(*(process.communicate() for process in started))

        assert [process.returncode for process in started] == [0, 0]
        assert all(b"database.migrated" in out for out, _ in outputs)
        assert await session.fetchval("select count(*) from alembic_version") == 1
        assert await session.fetchval("select count(*) from accounts") == 0
        await session.close()


async def test_the_command_line_has_a_help_text() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth_service", "--help", stdout=subprocess.PIPE
    )
    out, _ = await process.communicate()

    assert process.returncode == 0
    assert b"migrate" in out
    assert b"Without a command it serves. Settings come" in out
    assert b"`" not in out


async def test_a_missing_variable_is_named_in_one_line() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "auth_service", env=environ | {"ENVIRONMENT": "development"}, stderr=subprocess.PIPE
    )
    _, outputs = await process.communicate()

    assert process.returncode == 2
    assert "auth-service cannot start: POSTGRES_URL is missing" in outputs.decode().splitlines()


async def test_a_request_with_an_unknown_token_is_an_outage_for_the_client_behind_it(auth: Auth) -> None:
    async with internal_client(auth.url, SecretStr("0" * 64)) as other_client:
        assert await refusal(other_client.call(LOOK_UP, LookUp(phones=[fresh_number()]))) is ErrorCode.UNAVAILABLE


async def test_a_malformed_request_is_refused_by_field_and_never_echoed(auth: Auth) -> None:
    secret = fresh_secret().upper()
    fields = {"ticket": "t", "secret": secret, "address": "203.0.113.7", "dialect": "maitian"}
    headers = {"Authorization": f"Bearer {token_of(auth.settings)}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{auth.url}/v1/accounts/register", json=fields) as response,
    ):
        body = await response.json()

    assert (response.status, body["code"], body["field"]) == (400, "parameter_invalid", "secret")
    assert secret not in str(body)


async def test_readiness_depends_on_postgresql(auth: Auth) -> None:
    async with aiohttp.ClientSession(auth.url) as http:
        async with http.get("/monitoring/readyz") as response:
            assert await response.json() == {"ready": True, "checks": {"postgresql": "ok"}}
        async with http.get("/monitoring/metrics") as response:
            assert "haoma_hash_jobs" in await response.text()
