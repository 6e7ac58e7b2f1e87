"""The command ``after-restore``: what makes a restored database safe. It needs PostgreSQL only."""

import asyncio
import sys

from shared import postgres
from shared.errors import ServiceError
from shared.process.startup import UnreachableError
from sms_service.recovery.store import RecoveryStore


def after_restore(postgres_url: str, database: str) -> None:
    """Print what was ended. Exits with 1 and a reason if PostgreSQL does not respond."""
    try:
        codes, messages = asyncio.run(_recover(postgres_url, database))
    except UnreachableError as error:
        sys.exit(f"sms-service: {error}")
    except ServiceError:
        sys.exit("sms-service: PostgreSQL does not respond, or a row is in use; run the command again")
    sys.stdout.write(f"ended {codes} codes, and {messages} messages that waited\n")


async def _recover(postgres_url: str, database: str) -> tuple[int, int]:
    async with postgres.pool(postgres_url, database, size=1, package="sms_service") as pool:
        store = RecoveryStore(pool)
        return await store.end_codes(), await store.expire_messages()
