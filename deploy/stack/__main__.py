"""``python -m stack run|inside|clean``."""

import argparse
import shutil
import sys

from stack.signals import StopRequest


def clean() -> int:
    """Remove the data of every stack of this checkout, unless one runs."""
    from stack import folder  # noqa: PLC0415  see ``main``

    main = folder.MAIN_FOLDER
    busy = [path for path in (main, *main.glob("test-*")) if folder.is_taken(path)]
    if busy:
        print(f"a stack runs in {busy[0]}: stop it first", file=sys.stderr)
        return 1
    shutil.rmtree(main, ignore_errors=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stack", description="The local stack: all of it on 127.0.0.1.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start servers and services, show their logs, stop at Ctrl-C")
    commands.add_parser("clean", help="remove .local (data, secrets, logs), unless a stack runs")
    within = commands.add_parser("inside", help="run a command with the settings of the stack that runs here")
    within.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    chosen = parser.parse_args()
    if chosen.command == "run":
        stop = StopRequest()  # before the imports of the stack, which take most of a start's first moments
        from stack.run import run  # noqa: PLC0415

        return run(stop)
    if chosen.command == "inside":
        from stack.inside import inside  # noqa: PLC0415

        return inside(chosen.words) if chosen.words else parser.error("inside: which command?")
    return clean()


if __name__ == "__main__":
    sys.exit(main())
