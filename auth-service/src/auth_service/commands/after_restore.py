"""The command ``after-restore``: what makes a restored database safe. It needs PostgreSQL only."""

import argparse
import asyncio
import sys

from auth_service.audit import Operator
from auth_service.commands import users
from auth_service.recovery.recovery import Recovered, Recovery
from auth_service.recovery.recovery_store import RecoveryStore
from auth_service.settings import DatabaseSettings
from shared import postgres
from shared.errors import ServiceError
from shared.process.startup import UnreachableError

NEXT = "Start the service, then publish what the accounts are now: python -m auth_service republish"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who restored the database, and why."""
    users.add_operator(parser)


def after_restore(settings: DatabaseSettings, options: argparse.Namespace) -> None:
    """After a backup was restored: end every session and ticket, and raise every version. Run it before the service."""
    try:
        done = asyncio.run(_recover(settings, Operator(options.by, options.reason)))
    except UnreachableError as error:
        reason = str(error)
    except ServiceError:
        reason = "PostgreSQL does not respond, or a row is in use; run the command again"
    else:
        sys.stdout.write(f"ended {done.sessions} sessions, and the tickets of {done.accounts} accounts\n{NEXT}\n")
        return
    sys.stderr.write(f"auth-service: {reason}\n")
    raise SystemExit(1)


async def _recover(settings: DatabaseSettings, operator: Operator) -> Recovered:
    async with postgres.pool(settings.postgres_url, settings.auth_database, size=2, package="auth_service") as pool:
        return await Recovery(RecoveryStore(pool, operator)).run()
