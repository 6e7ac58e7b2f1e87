"""The command ``republish``: every user again, for a consumer that is new or has lost events."""

import argparse
import asyncio
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from auth_service.accounts.republication import Progress, RefusedPageError, Republication
from auth_service.accounts.republication_store import RepublicationStore
from auth_service.settings import AuthSettings
from shared import amqp, postgres
from shared.errors import ServiceError
from shared.phone import PhoneKeys
from shared.process.startup import UnreachableError

REPORT_SECONDS = 2.0


@dataclass(frozen=True)
class Selection:
    """Which users to republish, and the queue that gets them; every consumer without one."""

    queue: str
    since: datetime | None
    after: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--to", metavar="QUEUE", default="", help="publish into this queue only, not to every consumer")
    parser.add_argument(
        "--since",
        metavar="TIMESTAMP",
        type=_timestamp,
        help="only users who changed since then (ISO 8601; UTC if it has no offset)",
    )
    parser.add_argument(
        "--after", metavar="USER_ID", type=int, default=0, help="continue behind this user, as an earlier run printed"
    )


def republish(settings: AuthSettings, options: argparse.Namespace) -> None:
    """Publish every user again, as auth.user.updated.v1, for a consumer that is new or has lost events."""
    reporter = Reporter(options.after)
    try:
        asyncio.run(_republish(settings, Selection(options.to, options.since, options.after), reporter))
    except (UnreachableError, RefusedPageError, ConnectionError, ServiceError, KeyboardInterrupt) as error:
        reporter.print(f"stopped: {_reason(error, options.to)}. Continue with --after {reporter.last_user_id}")
        raise SystemExit(1) from None


class Reporter:
    """Prints the progress to stderr, at most every two seconds."""

    def __init__(self, after: int) -> None:
        self.last_user_id = after
        self._started = self._printed = time.monotonic()

    def note(self, progress: Progress) -> None:
        """A page is confirmed."""
        self.last_user_id = progress.last_user_id
        if time.monotonic() - self._printed >= REPORT_SECONDS:
            self._printed = time.monotonic()
            self.print(f"{self.summary(progress.users)}, the last is {progress.last_user_id}")

    def summary(self, users: int) -> str:
        """The number of users, and how many a second."""
        seconds = max(time.monotonic() - self._started, 0.001)
        return f"{users} users, {users / seconds:.0f} a second"

    def print(self, line: str) -> None:
        sys.stderr.write(f"republish: {line}\n")


async def _republish(settings: AuthSettings, selection: Selection, reporter: Reporter) -> None:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(postgres.pool(settings.postgres_url, settings.auth_database, size=2))
        bus = await stack.enter_async_context(amqp.connect(settings.amqp_url, "auth-service republish"))
        publisher, phones = (
            await amqp.Publisher.open(bus, "auth"),
            PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value())),
        )
        republication = Republication(RepublicationStore(pool), publisher, phones, selection.queue)
        users = 0
        async for progress in republication.run(after=selection.after, since=selection.since):
            reporter.note(progress)
            users = progress.users
        reporter.print(f"done: {reporter.summary(users)}")


def _reason(error: BaseException, queue: str) -> str:
    if isinstance(error, RefusedPageError):
        return f"the queue {queue} does not exist or is full"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "PostgreSQL does not respond" if isinstance(error, ServiceError) else str(error)


def _timestamp(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("expected a time such as 2026-11-28T06:00:00+08:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
