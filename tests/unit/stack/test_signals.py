"""Requests to stop, by signals."""

import signal
import subprocess
import sys
from pathlib import Path

import stack

LISTENING = """
from stack.signals import StopRequest

repeats = 0

def repeat():
    global repeats
    repeats += 1

stop = StopRequest()
stop.on_repeat = repeat
print("listening", flush=True)
while not (stop.wait(0.01) and repeats):
    pass
print("ended", flush=True)
"""
FOLDER = Path(stack.__file__).parents[1]
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def test_signals_in_quick_succession_stop_a_process_that_waits_for_them() -> None:
    for _ in range(20):
        command = [sys.executable, "-c", LISTENING]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=FOLDER) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            while process.poll() is None:
                for number in SIGNALS:
                    process.send_signal(number)
            assert process.stdout.read() == "ended\n"
