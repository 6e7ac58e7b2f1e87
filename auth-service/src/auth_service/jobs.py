"""The background jobs of every replica: deletions, seals of the audit log, events about log-ins, and bans that end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from auth_service import retention
from auth_service.audit import AUDIT_LOG
from auth_service.lifecycle import bans
from auth_service.lifecycle.bans_store import BansStore
from auth_service.login_events import publisher
from auth_service.login_events.store import LoginEventStore
from auth_service.resources import Resources
from auth_service.retention_store import RetentionStore
from auth_service.settings import AuthSettings
from shared.audit.chain import Chain
from shared.audit.sealing import keeping_chain
from shared.audit.store import ChainStore
from shared.background import repeating
from shared.keys import KeyRing


@asynccontextmanager
async def running_jobs(resources: Resources, settings: AuthSettings) -> AsyncIterator[None]:
    """Run the jobs until the block ends."""
    pool, wake = resources.pool, resources.wake
    delete = partial(retention.delete_all_expired, RetentionStore(pool))
    publish = partial(publisher.publish_login_events, LoginEventStore(pool, wake))
    deleting = repeating("retention", retention.INTERVAL_SECONDS, delete, first_after=retention.INTERVAL_SECONDS)
    publishing = repeating("login_events", publisher.INTERVAL_SECONDS, publish, first_after=publisher.INTERVAL_SECONDS)
    lifting = repeating("bans", bans.INTERVAL_SECONDS, bans.Bans(BansStore(pool, wake), resources.phones).lift_ended)
    chain = Chain(AUDIT_LOG, KeyRing.parse(settings.audit_keys.get_secret_value()))
    async with deleting, publishing, lifting, keeping_chain(ChainStore(pool, chain), settings.audit_days):
        yield
