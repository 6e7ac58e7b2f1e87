"""The background jobs of every replica: deleting what has expired, and publishing events about log-ins."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from auth_service import retention
from auth_service.login_events import publisher
from auth_service.login_events.store import LoginEventStore
from auth_service.resources import Resources
from auth_service.retention_store import RetentionStore
from shared.background import repeating


@asynccontextmanager
async def running_jobs(resources: Resources, audit_days: int) -> AsyncIterator[None]:
    """Run the jobs until the block ends."""
    delete = partial(retention.delete_all_expired, RetentionStore(resources.pool, audit_days))
    publish = partial(publisher.publish_login_events, LoginEventStore(resources.pool, resources.wake))
    deleting = repeating("retention", retention.INTERVAL_SECONDS, delete, first_after=retention.INTERVAL_SECONDS)
    publishing = repeating("login_events", publisher.INTERVAL_SECONDS, publish, first_after=publisher.INTERVAL_SECONDS)
    async with deleting, publishing:
        yield
