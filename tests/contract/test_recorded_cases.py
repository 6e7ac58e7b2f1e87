"""Replays every recorded case of every dialect against the running system, as a client would."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from stack import ports
from stack.system import Stack
from support.app import App
from support.contract_cases import CASES, CasePlayer, read_case
from support.database import Tables


@pytest.fixture(scope="session")
async def orphan(system: Stack) -> AsyncIterator[App]:
    """A gateway that cannot reach its services."""
    nowhere = f"http://127.0.0.1:{ports.free_port()}"
    env = {"AUTH_URL": nowhere, "SMS_URL": nowhere, "CONTACTS_URL": nowhere}
    service = system.launch("gateway", label="orphan-gateway", env=env)
    async with App.connect(service.url, nowhere) as app:
        yield app
    service.stop()


@pytest.fixture(scope="session")
async def switched(system: Stack) -> AsyncIterator[App]:
    """A gateway that trusts a proxy's header, before an sms-service with every development switch on."""
    switches = {"CALLER_LIMITS": "on", "REVEAL_CODES": "true", "MASTER_CODE": "909"}
    limits = {"CALLER_SENDS_PER_ADDRESS_HOUR": "20", "CALLER_LOOKUPS_PER_ADDRESS_MINUTE": "30"}
    sms = system.launch("sms-service", label="switched-sms-service", env={**switches, **limits})
    env = {"SMS_URL": sms.url, "TRUSTED_PROXIES": "127.0.0.1"}
    service = system.launch("gateway", label="switched-gateway", env=env)
    async with App.connect(service.url, sms.url) as app:
        yield app
    service.stop()
    sms.stop()


@pytest.mark.parametrize(
    "path", sorted(CASES.glob("*/*.json")), ids=lambda path: path.relative_to(CASES).with_suffix("").as_posix()
)
async def test_the_response_to_each_step_is_the_recorded_one(
    path: Path, app: App, orphan: App, switched: App, tables: Tables
) -> None:
    player = CasePlayer({"": app, "orphan": orphan, "switched": switched}, tables)
    case = read_case(path)
    for position, step in enumerate(case["steps"], 1):
        try:
            await player.replay(step)
        except AssertionError as error:
            raise AssertionError(f"{case['title']}, step {position}: {error}") from None
