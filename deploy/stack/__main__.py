"""``python -m stack run|exec|policy|secrets|clean``."""

import argparse
import sys
from pathlib import Path

from stack.signals import StopRequest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stack", description="The whole system on 127.0.0.1.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="start servers and services, show their logs, stop at Ctrl-C")
    commands.add_parser("clean", help="remove .local (data, secrets, logs), unless a stack runs")
    executing = commands.add_parser("exec", help="run a command with the settings of the running stack")
    executing.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    promising = commands.add_parser("policy", help="print what the settings of the running stack promise")
    promising.add_argument("--json", action="store_true", help="print JSON, for programs")
    making = commands.add_parser("secrets", help="write the secret files of docker-compose.yml that are missing")
    making.add_argument("folder", type=Path, nargs="?", help="default: SECRETS_FOLDER (also in .env), or ./secrets")
    arguments = parser.parse_args()
    if arguments.command == "run":
        stop = StopRequest()  # before the other imports: they take most of the first second
        from stack.commands.run import run  # noqa: PLC0415

        return run(stop)
    if arguments.command == "exec":
        from stack.commands.exec import execute  # noqa: PLC0415

        return execute(arguments.words) if arguments.words else parser.error("exec: name a command to run")
    if arguments.command == "policy":
        from stack.commands.policy import policy  # noqa: PLC0415

        return policy(as_json=arguments.json)
    if arguments.command == "secrets":
        from stack.commands.secrets import secrets  # noqa: PLC0415

        return secrets(arguments.folder)
    from stack.commands.clean import clean  # noqa: PLC0415

    return clean()


if __name__ == "__main__":
    sys.exit(main())
