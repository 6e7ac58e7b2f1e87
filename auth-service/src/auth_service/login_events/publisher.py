"""Publishes the events about log-ins from the audit log, in the background: a log-in itself costs nothing more."""

from typing import Protocol

import structlog

INTERVAL_SECONDS = 10.0
MAX_EVENTS = 1_000
"""Events of one kind in one turn, the largest counts first: a flood of failed log-ins is no flood of events."""

log = structlog.get_logger()


class LoginEventRepository(Protocol):
    """The audit log, read once: each turn continues where the last one ended, whichever replica takes it."""

    async def publish_failures(self, limit: int) -> int:
        """Put the failures of the minutes that are over into the outbox. Returns how many events there were to put."""

    async def publish_unfamiliar(self, limit: int) -> int:
        """Put the unfamiliar log-ins into the outbox. Returns how many events there were to put."""


async def publish_login_events(repository: LoginEventRepository) -> None:
    """One turn. Any number of processes may take it at the same time: one of them does the work."""
    for kind, count in (
        ("failed", await repository.publish_failures(MAX_EVENTS)),
        ("unfamiliar", await repository.publish_unfamiliar(MAX_EVENTS)),
    ):
        if count > MAX_EVENTS:
            log.warning("login_events.limited", kind=kind, events=count, published=MAX_EVENTS)
