"""Fuzzing: every test run includes a short deterministic part; ``make fuzz`` is the long run."""

import os
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from fuzz.raw_connection import RawConnection
from hypothesis import HealthCheck, settings
from stack.system import Stack
from support.app import App, fresh_number

LONG = os.environ.get("FUZZ") == "long"
COUNT = pytest.StashKey[RawConnection]()
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile("quick", derandomize=True, deadline=None, database=None, suppress_health_check=SLOW)
settings.register_profile("long", deadline=None, database=None, suppress_health_check=SLOW, print_blob=True)


def examples(quick: int, long: int) -> settings:
    """The number of examples in the short part and in the long run."""
    return settings(settings.get_profile("long" if LONG else "quick"), max_examples=long if LONG else quick)


@pytest.fixture(scope="session")
def connection(system: Stack, pytestconfig: pytest.Config) -> Iterator[RawConnection]:
    """A connection to the gateway that sends requests unchanged, and counts them."""
    address = urlsplit(system.url("gateway"))
    assert address.hostname is not None
    connection = RawConnection(HTTPConnection(address.hostname, address.port, timeout=20))
    pytestconfig.stash[COUNT] = connection
    yield connection
    connection.close()


@pytest.fixture(scope="session")
async def member(app: App) -> dict[str, str]:
    """The token and the id of a user with a session."""
    user = await app.register(fresh_number(), "secret123")
    return {"token": user["token"], "id": str(user["userId"])}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if connection := config.stash.get(COUNT, None):
        terminalreporter.write_line(
            f"fuzz: {connection.sent} requests, statuses {dict(sorted(connection.statuses.items()))}"
        )
