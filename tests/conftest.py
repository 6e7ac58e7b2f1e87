"""Fixtures for all tests: private servers and the running system, which are removed at the end of the run."""

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from stack.signals import accept_interrupts
from stack.system import Stack
from support.app import App
from support.database import Tables

EVERYTHING_ON = {"CALLER_LIMITS": "off", "ENVIRONMENT": "development", "LOG_LEVEL": "info"}
"""All requests come from one address, so caller limits are off. Limits on numbers are on."""

settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # an example may take long on a busy machine: pytest's own timeout is enough


def pytest_configure() -> None:
    """Tests may run as a background job of a script: their child processes must not inherit an ignored SIGINT."""
    accept_interrupts()


@pytest.fixture(scope="session")
def servers() -> Iterator[Stack]:
    """A private PostgreSQL, Valkey and RabbitMQ, without our processes."""
    with Stack.private(environ=EVERYTHING_ON) as stack:
        stack.start_servers(then=stack.migrate)
        yield stack


@pytest.fixture(scope="session")
def postgres_url(servers: Stack) -> str:
    return servers.addresses["POSTGRES_URL"]


@pytest.fixture(scope="session")
def redis_url(servers: Stack) -> str:
    return servers.addresses["REDIS_URL"]


@pytest.fixture(scope="session")
def amqp_url(servers: Stack) -> str:
    return servers.addresses["AMQP_URL"]


@pytest.fixture(scope="session")
def system(servers: Stack) -> Stack:
    """All our processes on the private servers."""
    servers.start_services()
    return servers


@pytest.fixture(scope="session")
async def app(system: Stack) -> AsyncIterator[App]:
    """A mobile app that calls the gateway and can read the SMS inbox."""
    async with App.connect(system.url("gateway"), system.url("sms-service")) as app:
        yield app


@pytest.fixture(scope="session")
async def tables(system: Stack) -> AsyncIterator[Tables]:
    """The tables of all services."""
    async with Tables.connect(system.addresses["POSTGRES_URL"], system.environ["PHONE_KEY"]) as tables:
        yield tables
