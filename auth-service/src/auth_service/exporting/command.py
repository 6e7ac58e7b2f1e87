"""The command ``export``: all users into a file, or to standard output."""

import argparse
import asyncio
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from auth_service.audit import Operator
from auth_service.commands.users import add_operator
from auth_service.exporting.lines import line_of
from auth_service.exporting.output import OutputRefusedError, opened_output
from auth_service.exporting.store import ExportStore, OpenExport
from auth_service.passwords.own_format import OwnFormat
from auth_service.settings import AuthSettings
from shared import postgres
from shared.commands.progress import Progress
from shared.errors import ServiceError
from shared.keys import KeyRing
from shared.process.startup import UnreachableError


@dataclass
class Written:
    """What was written: users, and those of them whose password could not go with them."""

    users: int = 0
    without_pepper: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "file", metavar="FILE", help="a new file, which only you can read; - for standard output, if it is no terminal"
    )
    add_operator(parser)


def export_users(settings: AuthSettings, options: argparse.Namespace) -> None:
    """Export all users as they are now, in the format of the import: with numbers in clear, and password hashes."""
    try:
        asyncio.run(_export(settings, options.file, Operator(options.by, options.reason)))
    except (UnreachableError, OutputRefusedError, ServiceError, OSError, KeyboardInterrupt) as error:
        _stop(_reason(error))


async def _export(settings: AuthSettings, name: str, operator: Operator) -> None:
    own_format = OwnFormat(KeyRing.parse(settings.password_peppers.get_secret_value()))
    with opened_output(name) as file:
        async with (
            postgres.pool(settings.postgres_url, settings.auth_database, size=2, package="auth_service") as pool,
            ExportStore(pool, operator).opened() as export,
        ):
            written = await _write_all(export, file, own_format)
    sys.stderr.write("\n".join(_texts(export, written)) + "\n")


async def _write_all(export: OpenExport, file: BinaryIO, own_format: OwnFormat) -> Written:
    written = Written()
    with closing(Progress(sys.stderr, export.counts.accounts)) as progress:
        async for page in export.pages():
            for stored, banned_until in page:
                file.write(line_of(stored, banned_until, own_format))
                password_hash = stored.password_hash
                written.without_pepper += password_hash is not None and own_format.name_for(password_hash) is None
            written.users += len(page)
            progress.note(written.users, written.users)
    return written


def _texts(export: OpenExport, written: Written) -> list[str]:
    texts = [f"export: {written.users} users"]
    if export.counts.retired:
        texts.append(f"export: {export.counts.retired} retired accounts have no number, and are left out")
    if written.without_pepper:
        texts.append(f"export: {written.without_pepper} users without their password, whose pepper is missing")
    return texts


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "PostgreSQL does not respond" if isinstance(error, ServiceError) else str(error)


def _stop(reason: str) -> NoReturn:
    sys.stderr.write(f"export: stopped: {reason}. What was written is not whole; run it again\n")
    raise SystemExit(1)
