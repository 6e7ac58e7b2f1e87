"""Servers that accept connections and treat them badly: no process stops answering, and all is well right afterwards."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product

import aiohttp
import pytest
from stack.services import Service
from stack.system import Stack
from support.app import App, fresh_number
from support.faulty_proxy import Fault, FaultyProxy
from yarl import URL

CONNECTIONS = {"AMQP_URL": 6, "POSTGRES_URL": 6, "REDIS_URL": 2}
"""The connections that a fault lasts for, by the variable that has the address of the server: at RabbitMQ, one of each
kind from each process."""
PROCESSES = ("auth-service", "sms-service", "contacts-service", "sms-worker", "gateway")
ENVIRON = {"CALLER_LIMITS": "on", "ENVIRONMENT": "development", "TRUSTED_PROXIES": "127.0.0.0/8"}
"""Each request comes from another address through a trusted proxy, so that limits are counted in Redis and never reached."""
PATIENCE_SECONDS = 60


@asynccontextmanager
async def behind_proxies(stack: Stack) -> AsyncIterator[Mapping[str, FaultyProxy]]:
    """The whole system with a proxy before each server."""
    async with AsyncExitStack() as running:
        proxies = {}
        for variable in CONNECTIONS:
            port = URL(stack.addresses[variable]).port
            assert port is not None
            proxies[variable] = await running.enter_async_context(FaultyProxy.before(port))
        await asyncio.to_thread(start_processes, stack, {name: proxy.port for name, proxy in proxies.items()})
        yield proxies


def start_processes(stack: Stack, port_of: Mapping[str, int]) -> None:
    for name in PROCESSES:
        own = stack.environ_of(name)
        env = {each: str(URL(own[each]).with_port(port)) for each, port in port_of.items() if each in own}
        stack.launch(name, env=env, wait=False)
    for service in stack.services.values():
        service.wait_ready()


async def answers(http: aiohttp.ClientSession, service: Service) -> None:
    """Wait until a process answers that it lives: it must not be busy with anything else for long."""
    async with http.get(f"{service.monitoring_url}/livez") as response:
        assert response.status == 200


async def until_met(proxy: FaultyProxy, connections: int, app: App) -> None:
    """Users go on, and so do background jobs, until so many connections have met the fault."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while proxy.mistreated < connections:
            await app.send_code(fresh_number())
            await asyncio.sleep(0.05)


async def until_served(app: App) -> None:
    """Users can register again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            number = fresh_number()
            if (await app.send_code(number)).body == {"success": "true"}:
                code = await app.code(number)
                if (await app.verify(number, code)).body["success"] == "true":
                    return
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_no_process_stops_answering_while_a_server_accepts_connections_and_treats_them_badly() -> None:
    with Stack.private(environ=ENVIRON) as stack:
        await asyncio.to_thread(stack.start_servers, stack.migrate)
        async with (
            behind_proxies(stack) as proxies,
            App.connect(stack.url("gateway"), stack.url("sms-service"), spread=True) as app,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS)) as http,
        ):
            await until_served(app)
            for variable, fault in product(CONNECTIONS, Fault):
                proxies[variable].set(fault)
                await until_met(proxies[variable], CONNECTIONS[variable], app)
                await asyncio.gather(*(answers(http, service) for service in stack.services.values()))
                proxies[variable].set(None)
                await until_served(app)
        assert stack.exit_reports() == []
