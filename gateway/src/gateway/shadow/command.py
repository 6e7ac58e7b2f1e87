"""The command ``shadow``: recorded calls, from a file or from standard input, made on Haoma and compared."""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import urlsplit

import orjson

from gateway.dialect_registry import choose, installed_dialects
from gateway.shadow.caller import ShadowCaller
from gateway.shadow.checkpoint import CheckpointFile, Progression
from gateway.shadow.differences.expectations import Expectations
from gateway.shadow.differences.output import DetailsFile
from gateway.shadow.haoma import CodeInbox, HaomaClient, UnreachableError
from gateway.shadow.recorded.calls import CallTable
from gateway.shadow.recorded.recording import Line, read_lines
from gateway.shadow.replay import Judgement, Plan, Replay
from shared.commands.input_files import STANDARD_INPUT, opened, size_of
from shared.commands.output_files import require_distinct
from shared.commands.progress import Progress

CONCURRENCY = 8
MAX_CONCURRENCY = 200
STOPPED, SOME_DIFFER = 1, 3
"""Exit statuses: run it again to go on; or something is unexplained or could not be read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", metavar="FILE", help="a JSON object for each call, one a line; - for standard input")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--haoma", metavar="URL", type=_url, help="a gateway; only calls that change nothing are made")
    where.add_argument("--copy", metavar="URL", type=_url, help="the gateway of a copy for tests; all calls are made")
    parser.add_argument(
        "--inbox", metavar="URL", type=_url, help="the sms-service of the copy, which shows the codes that it sent"
    )
    parser.add_argument("--expect", metavar="FILE", type=Path, help="differences that are decided, one a line")
    parser.add_argument("--details", metavar="FILE", type=Path, help="where each difference and broken line goes, or -")
    parser.add_argument("--dialects", metavar="NAMES", default="", help="contracts, such as maitian,tel (default: all)")
    parser.add_argument(
        "--concurrency", metavar="CALLS", type=_calls, default=CONCURRENCY, help="calls at once (default: 8)"
    )
    parser.add_argument("--rate", metavar="CALLS", type=_positive, help="calls a second at most")
    parser.add_argument("--speed", metavar="TIMES", type=_positive, help="1 keeps the times of the recording")
    parser.add_argument("--restart", action="store_true", help="do not go on where an earlier run was stopped")
    parser.add_argument("--json", action="store_true", help="print the report as JSON, for programs")


def shadow(options: argparse.Namespace) -> None:
    """Make recorded calls on Haoma and compare its answers with the recorded ones. Repeated, a stopped run goes on."""
    if bool(options.copy) != bool(options.inbox):
        _stop("--copy needs --inbox, and no other run does")
    try:
        status = asyncio.run(_shadow(options))
    except (UnreachableError, OSError, ValueError, KeyboardInterrupt) as error:
        _stop("interrupted" if isinstance(error, KeyboardInterrupt) else str(error))
    raise SystemExit(status)


async def _shadow(options: argparse.Namespace) -> int:
    """Replay the recording. Returns the exit status."""
    require_distinct([Path(options.file), options.expect], [options.details])
    expectations = Expectations.read(options.expect) if options.expect else Expectations()
    checkpoint = (
        None if options.file == STANDARD_INPUT else CheckpointFile.beside(Path(options.file), _gateway(options))
    )
    run = (None if options.restart or checkpoint is None else checkpoint.load()) or Progression()
    stopping = _stops()
    with ExitStack() as files:
        file = files.enter_context(opened(options.file))
        details = files.enter_context(DetailsFile(options.details, append=run.line > 0))
        progress = files.enter_context(closing(Progress(sys.stderr, size_of(options.file))))

        def save(progression: Progression) -> None:
            details.flush()
            if checkpoint is not None:
                checkpoint.save(progression)

        async with _replay(options, run, expectations, details) as replay:
            await replay.run(_lines(file, run, stopping, progress), save)
    if stopping.is_set():
        _stop(f"interrupted after line {run.line}")
    if checkpoint is not None:
        checkpoint.remove()
    _print(run, expectations, as_json=options.json)
    return 0 if run.report.is_clean else SOME_DIFFER


@asynccontextmanager
async def _replay(
    options: argparse.Namespace, run: Progression, expectations: Expectations, details: DetailsFile
) -> AsyncIterator[Replay]:
    """A replay with the connections that it needs."""
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(HaomaClient.connect(_gateway(options), options.concurrency))
        inbox = None
        if options.copy:
            inbox = await stack.enter_async_context(CodeInbox.connect(options.inbox, options.concurrency))
            await inbox.require()
            await gateway.require_development()
        table = CallTable(choose(installed_dialects(), [name for name in options.dialects.split(",") if name]))
        plan = Plan(options.concurrency, options.rate, options.speed, is_copy=bool(options.copy))
        caller = ShadowCaller(gateway, inbox, run.known)
        yield Replay(table, caller, run, Judgement(expectations, details), plan)


def _gateway(options: argparse.Namespace) -> str:
    return str(options.copy or options.haoma)


async def _lines(file: BinaryIO, run: Progression, stopping: asyncio.Event, progress: Progress) -> AsyncIterator[Line]:
    """The lines that are left, until the run is stopped. Standard input is read in a thread: it may wait for long."""
    is_file = file.seekable()
    if is_file:
        file.seek(run.offset)
    lines = read_lines(file, run.line, run.offset)
    while not stopping.is_set():
        line = next(lines, None) if is_file else await asyncio.to_thread(next, lines, None)
        if line is None:
            return
        progress.note(run.report.read, line.end)
        yield line


def _stops() -> asyncio.Event:
    """Is set by the first signal to stop, which lets the calls that run end. The second one interrupts."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        stopping.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return stopping


def _print(run: Progression, expectations: Expectations, *, as_json: bool) -> None:
    report = run.report
    if as_json:
        fields = report.to_json() | {"unseen": [each.model_dump() for each in report.unseen(expectations)]}
        sys.stdout.write(orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        sys.stdout.write("\n".join(report.texts(expectations)) + "\n")


def _stop(reason: str) -> NoReturn:
    sys.stderr.write(f"shadow: stopped: {reason}\n")
    raise SystemExit(STOPPED)


def _url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise argparse.ArgumentTypeError("expected a URL that begins with http:// or https://")
    return text


def _calls(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MAX_CONCURRENCY):
        raise argparse.ArgumentTypeError(f"expected a number of calls from 1 to {MAX_CONCURRENCY}")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("expected a number greater than 0")
    return number
