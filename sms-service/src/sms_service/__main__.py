"""``python -m sms_service``: serve, worker, migrate, explain, preview, spending."""

import argparse
import re
import sys
from collections.abc import Sequence

from shared.internal_api.sms import Language
from shared.process import logs
from shared.process.settings import load
from sms_service.retention import MESSAGE_DAYS
from sms_service.settings import DatabaseSettings, ExplainSettings, RoutesSettings, SmsSettings, SpendingSettings

API = "sms-service"
WORKER = "sms-worker"
KEEPALIVE_SECONDS = 75.0
"""Longer than our own clients keep an idle connection, so that the server never closes one under a request."""
ABOUT = "Codes by SMS. Without a command it serves. Settings are read from the environment."


def serve(_: argparse.Namespace) -> None:
    """Answer the gateway: issue and check codes (the default)."""
    settings = load(SmsSettings, API)
    logs.configure(API, settings.log_level)
    # Before all else: the imports that follow fit into the 3 MiB which this one leaves behind.
    import redis.asyncio  # noqa: F401, PLC0415

    from shared.process import web  # noqa: PLC0415  a bad setting is told before half a second of imports
    from sms_service.app import create_api  # noqa: PLC0415

    web.run(
        web.serve(
            create_api(settings),
            host=settings.bind_address,
            port=settings.sms_port,
            keepalive_seconds=KEEPALIVE_SECONDS,
        ),
        API,
    )


def worker(_: argparse.Namespace) -> None:
    """Send the messages that were asked for."""
    settings = load(SmsSettings, WORKER)
    logs.configure(WORKER, settings.log_level)
    from shared.process import web  # noqa: PLC0415  as above
    from sms_service.worker import create_worker  # noqa: PLC0415

    web.run(
        web.serve(
            create_worker(settings),
            host=settings.bind_address,
            port=settings.sms_worker_port,
            keepalive_seconds=KEEPALIVE_SECONDS,
        ),
        WORKER,
    )


def migrate(_: argparse.Namespace) -> None:
    """Create the database if it is missing and update its schema, then end; safe to run from many places at once."""
    settings = load(DatabaseSettings, API)
    logs.configure(API, settings.log_level)
    from shared import postgres  # noqa: PLC0415  as above

    postgres.migrate(settings.postgres_url, settings.sms_database, "sms_service")


def explain(asked: argparse.Namespace) -> None:
    """Tell why a number has no code, step by step: what was asked, refused, queued, sent, answered, entered."""
    settings = load(ExplainSettings, API)
    logs.configure(API, "warning", to=sys.stderr)
    from sms_service.explain import command  # noqa: PLC0415  as above

    command.explain(settings, asked.about, asked.days, as_json=asked.json)


def preview(asked: argparse.Namespace) -> None:
    """Show what messages will say and how many short messages they take, with a made-up code; sends nothing."""
    settings = load(RoutesSettings, API)
    from sms_service.messages import preview as previewing  # noqa: PLC0415  as above

    texts = settings.routing.wording.words
    shown = previewing.preview(texts, asked.number, asked.language, asked.dialect, asked.client)
    sys.stdout.write(shown)


def spending(asked: argparse.Namespace) -> None:
    """Show what is spent and which prefixes are slowed or stopped, or let one of them go."""
    settings = load(SpendingSettings, API)
    logs.configure(API, "error", to=sys.stderr)
    from sms_service.spending import cli  # noqa: PLC0415  as above

    cli.spending(settings.routing.plan, settings.postgres_url, settings.sms_database, asked.scope)


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m sms_service", description=ABOUT)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parsers = {}
    for command in (serve, worker, migrate, explain, preview, spending):
        about = command.__doc__
        parsers[command] = commands.add_parser(command.__name__, help=about, description=about)
        parsers[command].set_defaults(run=command)
    _add_explain(parsers[explain])
    _add_preview(parsers[preview])
    _add_spending(parsers[spending])
    parser.set_defaults(run=serve)
    asked = parser.parse_args(arguments)
    asked.run(asked)


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "about", metavar="NUMBER|ID", help="a phone number in any spelling, or the id of a verification or message"
    )
    parser.add_argument(
        "--days",
        type=int,
        choices=range(1, MESSAGE_DAYS + 1),
        default=MESSAGE_DAYS,
        metavar="N",
        help="look back so many days (default: all that is kept, %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def _add_preview(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--number", type=_number, default="+86", help="a number or its beginning (default: %(default)s)"
    )
    parser.add_argument(
        "--language", type=Language, choices=list(Language), help="default: that of the number's country"
    )
    parser.add_argument("--dialect", default="", help="the contract it is asked for through")
    parser.add_argument("--client", default="", help="what the client calls itself")


def _add_spending(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION")
    unblock = actions.add_parser("unblock", help="let a prefix go, and forget what came before")
    unblock.add_argument("scope", metavar="SCOPE", help="as it is shown, such as range:+861380013")
    parser.set_defaults(scope=None)


def _number(text: str) -> str:
    if not re.fullmatch(r"\+[0-9]{1,15}", text):
        raise argparse.ArgumentTypeError("expected a plus sign and digits, such as +86")
    return text


if __name__ == "__main__":
    main()
