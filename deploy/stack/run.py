"""``make run``: the whole system on this terminal, until Ctrl-C."""

import os
import sys
import threading
import time
from collections.abc import Callable

from stack import leftovers
from stack.folder import MAIN_FOLDER, ROOT, StackError
from stack.follow import Follower
from stack.signals import StopRequest
from stack.system import Stack

SERVERS = ("POSTGRES_URL", "REDIS_URL", "AMQP_URL")


def run(stop: StopRequest) -> int:
    """Start everything, show the logs, stop when asked to. Returns the exit status."""
    began = time.monotonic()
    stack = Stack(
        MAIN_FOLDER,
        named={name: os.environ.get(name, "") for name in SERVERS},
        say=lambda text: _say(began, text),
    )
    stop.on_repeat = lambda: leftovers.kill(stack.folder.path)
    try:
        stack.open()
    except StackError as error:
        return _fail(str(error))
    try:
        return _serve(stack, stop, began)
    finally:
        stack.stop()
        _say(began, "everything is stopped")


def _serve(stack: Stack, stop: StopRequest, began: float) -> int:
    failure = _start(stack, stop)
    if stop.event.is_set():
        _say(began, "stopping")
        return 0
    if failure:
        return _fail(failure)
    file = stack.write_env()
    _say(began, "all is ready")
    print(_welcome(stack), flush=True)
    follower = Follower(
        [(name, service.log_path) for name, service in stack.services.items()],
        coloured=sys.stdout.isatty() and "NO_COLOR" not in os.environ,
    )
    try:
        while not (dead := stack.dead()) and not stop.event.wait(0.2):
            pass
        file.unlink(missing_ok=True)
        if dead and not stop.event.is_set():
            return _fail("\n".join(dead))
        _say(began, "stopping")
        stack.stop()
        return 0
    finally:
        follower.stop()


def _start(stack: Stack, stop: StopRequest) -> str:
    """Start the stack beside the main thread, which listens for the request to stop. Returns what failed."""
    failures: list[str] = []
    starter = threading.Thread(target=_note_failure, args=(stack.start, failures), name="starter")
    starter.start()
    while starter.is_alive():
        if stop.event.wait(0.05):
            stack.folder.interrupt()
            starter.join()
    return "\n".join(failures)


def _note_failure(start: Callable[[], None], failures: list[str]) -> None:
    try:
        start()
    except StackError as error:
        failures.append(str(error))
    except Exception as error:  # noqa: BLE001  whatever it was, the main thread stops everything and says so
        failures.append(f"{type(error).__name__}: {error}")


def _welcome(stack: Stack) -> str:
    gateway, inbox = stack.url("gateway"), f"{stack.url('sms-service')}/inbox"
    call = f"{gateway}/v1/user/register/verify_code.json?source=curl&phone_number=13800138000"
    lines = [f"    {variable:<13} {address}" for variable, address in stack.addresses.items()]
    logs = stack.folder.log("*").relative_to(ROOT)
    lines += [
        "",
        f"    register      {gateway}/pages/register",
        f"    messages      {inbox}",
        f"    logs          {logs}",
        f'    try           curl "{call}"',
    ]
    return "\n".join(["", *lines, "", "    Ctrl-C stops everything.", ""])


def _say(began: float, text: str) -> None:
    print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)


def _fail(text: str) -> int:
    print(f"\nmake run: {text}", file=sys.stderr, flush=True)
    return 1
