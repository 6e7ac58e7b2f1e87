"""A new release under load: each process in turn, on the schema of the next release too, and no call fails."""

import pytest
from rolling import replicas
from rolling.__main__ import ENVIRON, roll
from stack.system import Stack

CALLS = {
    "GET /v2/me",
    "POST /v2/accounts",
    "POST /v2/contacts/match",
    "POST /v2/sessions",
    "POST /v2/sessions/refresh",
    "POST /v2/verifications",
    "POST /v2/verifications/check",
    "message",
}
PAUSE_SECONDS = 0.02
"""Clients that never rest take the processor from the tests beside this one; `make rolling-check` has such clients."""


@pytest.mark.timeout(400)
async def test_no_call_fails_while_every_process_restarts_in_turn() -> None:
    with Stack.private(environ=ENVIRON) as stack:
        stack.start_servers(then=stack.migrate)
        clients = await roll(stack, rounds=1, pause_seconds=PAUSE_SECONDS)
        started = [
            line
            for name in stack.services
            for line in stack.services[name].logs().splitlines()
            if "service.ready" in line
        ]

    assert clients.failed == []
    assert clients.served.keys() == CALLS
    assert len(started) == 2 * 2 * len(replicas.KINDS) + 1
