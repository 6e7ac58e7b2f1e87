"""``make run``: the whole system on this terminal, until Ctrl-C."""

import os
import sys
import threading
import time
from collections.abc import Callable

from stack import orphans
from stack.commands.log_tail import LogTail
from stack.folder import MAIN_FOLDER, ROOT, StackError
from stack.signals import StopRequest
from stack.system import Stack

SERVER_VARIABLES = ("POSTGRES_URL", "REDIS_URL", "AMQP_URL")


def run(stop: StopRequest) -> int:
    """Start everything, show the logs, stop on request. Returns the exit status."""
    started_at = time.monotonic()
    stack = Stack(
        MAIN_FOLDER,
        external={name: os.environ.get(name, "") for name in SERVER_VARIABLES},
        notify=lambda text: _print(started_at, text),
    )
    stop.on_repeat = lambda: orphans.kill(stack.folder.path)
    try:
        stack.open()
    except StackError as error:
        return _fail(str(error))
    try:
        return _serve(stack, stop, started_at)
    finally:
        stack.stop()
        _print(started_at, "everything is stopped")


def _serve(stack: Stack, stop: StopRequest, started_at: float) -> int:
    failure = _start(stack, stop)
    if stop.is_made:
        _print(started_at, "stopping")
        return 0
    if failure:
        return _fail(failure)
    addresses = stack.write_env()
    _print(started_at, "all is ready")
    print(_welcome(stack), flush=True)
    log_tail = LogTail(
        [(name, service.log_path) for name, service in stack.services.items()],
        coloured=sys.stdout.isatty() and "NO_COLOR" not in os.environ,
    )
    try:
        while not (ended := stack.exit_reports()) and not stop.wait(0.2):
            pass
        addresses.unlink(missing_ok=True)
        if ended and not stop.is_made:
            return _fail("\n".join(ended))
        _print(started_at, "stopping")
        stack.stop()
        return 0
    finally:
        log_tail.stop()


def _start(stack: Stack, stop: StopRequest) -> str:
    """Start the stack in a thread while the main thread waits for a request to stop. Returns the failures as text."""
    failures: list[str] = []
    starter = threading.Thread(target=_collect_failure, args=(stack.start, failures), name="starter")
    starter.start()
    while starter.is_alive():
        if stop.wait(0.05):
            stack.folder.interrupt()
            starter.join()
    return "\n".join(failures)


def _collect_failure(start: Callable[[], None], failures: list[str]) -> None:
    try:
        start()
    except StackError as error:
        failures.append(str(error))
    except Exception as error:  # noqa: BLE001  the main thread stops everything and prints the error
        failures.append(f"{type(error).__name__}: {error}")


def _welcome(stack: Stack) -> str:
    gateway, inbox = stack.url("gateway"), f"{stack.url('sms-service')}/inbox"
    call = f"""{gateway}/v2/verifications -d '{{"phone": "13800138000", "purpose": "sign_up"}}'"""
    monitored = stack.monitoring_addresses
    lines = [f"    {name:<13} {address}" for name, address in stack.addresses.items() if name not in monitored]
    logs = stack.folder.log("*").relative_to(ROOT)
    lines += [
        "",
        f"    documents     {gateway}/docs",
        f"    register      {gateway}/pages/register",
        f"    messages      {inbox}",
        f"    metrics       {monitored['GATEWAY_MONITORING_URL']}/metrics (of other processes: in .local/stack.env)",
        f"    logs          {logs} (as JSON; below, one line for each request, and what went wrong)",
        f"    try           curl -H 'Content-Type: application/json' {call}",
        f"    limits        {_limits(stack)}",
    ]
    return "\n".join(["", *lines, "", "    Ctrl-C stops everything.", ""])


def _limits(stack: Stack) -> str:
    if stack.environ.get("CALLER_LIMITS") == "off":
        return "off for addresses and networks; CALLER_LIMITS=on make run switches them on (limits on a number stay)"
    return "on for addresses and networks, as in production"


def _print(started_at: float, text: str) -> None:
    print(f"{time.monotonic() - started_at:6.1f} s  {text}", flush=True)


def _fail(text: str) -> int:
    print(f"\nmake run: {text}", file=sys.stderr, flush=True)
    return 1
