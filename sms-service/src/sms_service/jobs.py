"""The background jobs of every worker that are about old rows: the purge, and the chain of the audit trail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from pydantic import SecretStr

from shared.audit.chain import Chain
from shared.audit.sealing import keeping_chain
from shared.audit.store import ChainStore
from shared.keys import KeyRing
from shared.postgres import Pool
from sms_service.retention import purging
from sms_service.retention_store import RetentionStore
from sms_service.verification.audit_events import AUDIT_TABLE


class JobSettings(Protocol):
    """The settings of the audit trail."""

    @property
    def audit_keys(self) -> SecretStr: ...
    @property
    def audit_days(self) -> int: ...


@asynccontextmanager
async def running_jobs(settings: JobSettings, pool: Pool) -> AsyncIterator[None]:
    """Run the jobs until the block ends."""
    chain = Chain(AUDIT_TABLE, KeyRing.parse(settings.audit_keys.get_secret_value()))
    async with purging(RetentionStore(pool)), keeping_chain(ChainStore(pool, chain), settings.audit_days):
        yield
