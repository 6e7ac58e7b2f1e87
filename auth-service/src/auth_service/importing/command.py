"""The command ``import``: the users of another system, from a file or from standard input."""

import argparse
import asyncio
import os
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO, NoReturn

from auth_service.audit import Operator
from auth_service.commands.users import add_operator
from auth_service.importing.candidates import Countries
from auth_service.importing.known_passwords import KnownPasswords
from auth_service.importing.lines import BatchSize, LineBatch, read_batches
from auth_service.importing.output import OutputFiles
from auth_service.importing.report import Report
from auth_service.importing.setup import BatchRun, Import, open_run
from auth_service.passwords.cpus import available_cpus
from auth_service.settings import AuthSettings
from shared.commands.input_files import STANDARD_INPUT, opened, size_of
from shared.commands.output_files import require_distinct
from shared.commands.progress import Progress
from shared.errors import ServiceError
from shared.process.startup import UnreachableError

USERS_PER_SECOND = 500
NICENESS = 10
"""The command yields to the services on its machine: it has a tenth of their weight."""
RETRY_SECONDS = (1.0, 2.0, 4.0, 8.0)
"""How long to wait for PostgreSQL before a batch is run again."""
MAX_THREADS = 256
STOPPED, SOME_REFUSED = 1, 3
"""Exit statuses: run it again to go on; or all that could be imported is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", metavar="FILE", help="a JSON object for each user, one a line; - for standard input")
    parser.add_argument("--dry-run", action="store_true", help="read all of it, report, and import nothing")
    parser.add_argument("--known-passwords", metavar="FILE", type=Path, help="passwords to try in a dry run")
    parser.add_argument(
        "--errors", metavar="FILE", type=Path, help="where refused lines go, or - (default: FILE.errors)"
    )
    parser.add_argument("--ids", metavar="FILE", type=Path, help="where the user ids of users with other ids go")
    parser.add_argument("--served", metavar="CODES", type=_codes, default=("86",), help="calling codes, such as 86,852")
    parser.add_argument("--calling-code", metavar="CODE", default="86", help="of numbers without one (default: 86)")
    parser.add_argument(
        "--rate", metavar="USERS", type=_rate, default=USERS_PER_SECOND, help="users a second at most, for consumers"
    )
    parser.add_argument(
        "--threads", metavar="N", type=_threads, help="hashing threads; fewer leave CPUs to the services (default: all)"
    )
    add_operator(parser)


def import_users(settings: AuthSettings, options: argparse.Namespace) -> None:
    """Import the users of another system: ids, passwords, sessions. Repeated, a run that was stopped goes on."""
    if options.known_passwords and not options.dry_run:
        _stop("--known-passwords needs --dry-run")
    os.nice(NICENESS)
    try:
        status = asyncio.run(_import(settings, options))
    except (UnreachableError, ServiceError, OSError, ValueError, KeyboardInterrupt) as error:
        _stop(_reason(error))
    raise SystemExit(status)


async def _import(settings: AuthSettings, options: argparse.Namespace) -> int:
    """Read the whole file. Returns the exit status."""
    errors = options.errors or _errors_of(options.file)
    require_distinct([Path(options.file), options.known_passwords], [errors, options.ids])
    with ExitStack() as stack:
        file = stack.enter_context(opened(options.file))
        output = stack.enter_context(OutputFiles(errors, options.ids))
        progress = stack.enter_context(closing(Progress(sys.stderr, size_of(options.file))))
        described = _described(settings, options, output)
        async with open_run(settings, described) as run:
            await _run_all(run, described, file, progress, options.rate)
    sys.stdout.write("\n".join(_texts(described)) + "\n")
    return SOME_REFUSED if described.report.refused or described.known_passwords.failed else 0


def _described(settings: AuthSettings, options: argparse.Namespace, output: OutputFiles) -> Import:
    return Import(
        countries=Countries(options.calling_code, options.served),
        operator=Operator(options.by, options.reason),
        known_passwords=_known_passwords(options.known_passwords),
        is_dry_run=options.dry_run,
        threads=options.threads or settings.password_hash_threads or available_cpus(),
        report=Report(),
        output=output,
    )


async def _run_all(run: BatchRun, described: Import, file: BinaryIO, progress: Progress, rate: int) -> None:
    report, size = described.report, BatchSize(described.threads, rate)
    for batch in read_batches(file, size):
        started, before = time.monotonic(), report.imported
        await _persist(run, batch)
        described.output.flush()
        progress.note(report.lines, batch.bytes_read)
        imported = report.imported - before
        size.note(imported)
        if not described.is_dry_run:  # each batch by itself: after a pause, such as an outage, none hurries
            await asyncio.sleep(max(0.0, started + imported / rate - time.monotonic()))


async def _persist(run: BatchRun, batch: LineBatch) -> None:
    """Run a batch, again after a pause while PostgreSQL is away. Raises ``ServiceError(UNAVAILABLE)``."""
    for seconds in RETRY_SECONDS:
        try:
            return await run.run(batch)
        except ServiceError:
            await asyncio.sleep(seconds)
    return await run.run(batch)


def _texts(described: Import) -> list[str]:
    texts = described.report.texts(dry_run=described.is_dry_run)
    return texts + described.known_passwords.texts() if described.known_passwords.is_given else texts


def _errors_of(name: str) -> Path:
    return Path("import.errors" if name == STANDARD_INPUT else f"{name}.errors")


def _known_passwords(path: Path | None) -> KnownPasswords:
    if path is None:
        return KnownPasswords()
    with path.open("rb") as file:
        return KnownPasswords.read(file)


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "PostgreSQL does not respond, or its disk is full" if isinstance(error, ServiceError) else str(error)


def _stop(reason: str) -> NoReturn:
    sys.stderr.write(f"import: stopped: {reason}. What was imported stays; run it again to go on\n")
    raise SystemExit(STOPPED)


def _codes(text: str) -> tuple[str, ...]:
    codes = tuple(text.split(","))
    if not all(code.isascii() and code.isdigit() and len(code) < 4 for code in codes):
        raise argparse.ArgumentTypeError("expected calling codes such as 86,852")
    return codes


def _threads(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_THREADS):
        raise argparse.ArgumentTypeError(f"expected a number of threads, from 1 to {MAX_THREADS}")
    return int(text)


def _rate(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError("expected a number of users a second, from 1 to 1000000")
    return int(text)
