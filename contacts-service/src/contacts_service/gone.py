"""The command ``gone``: the users who were erased, or lost their number, since the moment of a backup."""

import asyncio
import sys
from datetime import datetime

from contacts_service.store import Store
from shared import postgres
from shared.errors import ServiceError
from shared.process.startup import UnreachableError

PAGE = 1_000


def print_gone(postgres_url: str, database: str, since: datetime) -> None:
    """Print a user id a line. Exits with 1 and a reason if PostgreSQL does not respond."""
    try:
        asyncio.run(_print_gone(postgres_url, database, since))
    except UnreachableError as error:
        sys.exit(f"contacts-service: {error}")
    except ServiceError:
        sys.exit("contacts-service: PostgreSQL does not respond; run the command again")


async def _print_gone(postgres_url: str, database: str, since: datetime) -> None:
    after = 0
    async with postgres.pool(postgres_url, database, size=1, package="contacts_service") as pool:
        while user_ids := await Store(pool).gone(since, after, PAGE):
            after = user_ids[-1]
            sys.stdout.writelines(f"{user_id}\n" for user_id in user_ids)
