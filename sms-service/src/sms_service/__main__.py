"""``python -m sms_service``: serve, worker, migrate, after-restore, explain, preview, spending, audit, policy."""

import argparse
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.internal_api.sms import Language
from shared.process import logs
from shared.process.settings import load
from shared.process.tracing.setup import record_spans
from sms_service.retention import MESSAGE_DAYS
from sms_service.settings import (
    AuditShowSettings,
    AuditVerifySettings,
    ConfigSettings,
    DatabaseSettings,
    ExplainSettings,
    MessageSettings,
    PolicySettings,
    SmsSettings,
    SpendingSettings,
    WorkerSettings,
)

if TYPE_CHECKING:
    from aiohttp.web import Application

API = "sms-service"
WORKER = "sms-worker"
KEEPALIVE_SECONDS = 75.0
"""Longer than our own clients keep an idle connection, so that the server never closes one under a request."""
ABOUT = "Codes by SMS. Without a command it serves the API. Settings are read from the environment."

# Settings are read before the large imports of each command: an error in them shows half a second earlier.


def serve(_: argparse.Namespace) -> None:
    """Serve the API that issues and checks codes (the default)."""
    settings = load(SmsSettings, API)
    logs.configure(API, settings.log_level)
    # First, because the imports that follow fit into the 3 MiB that this one frees.
    import redis.asyncio  # noqa: F401, PLC0415

    from sms_service.app import create_api  # noqa: PLC0415

    _run(create_api(settings), settings, settings.sms_port, settings.sms_monitoring_port, API)


def worker(_: argparse.Namespace) -> None:
    """Run the worker that sends messages."""
    settings = load(WorkerSettings, WORKER)
    logs.configure(WORKER, settings.log_level)
    from sms_service.worker import create_worker  # noqa: PLC0415

    _run(create_worker(settings), settings, None, settings.sms_worker_monitoring_port, WORKER)


def _run(app: "Application", settings: MessageSettings, port: int | None, monitoring_port: int, name: str) -> None:
    from shared.process import web  # noqa: PLC0415

    record_spans(name, settings)
    serving = web.serve(
        app,
        host=settings.bind_address,
        port=port,
        monitoring_port=monitoring_port,
        keepalive_seconds=KEEPALIVE_SECONDS,
        withdraw_seconds=settings.withdraw_seconds,
    )
    web.run(serving, name)


def migrate(_: argparse.Namespace) -> None:
    """Create the database if it is missing, and update its schema. Several processes may run this at once."""
    settings = load(DatabaseSettings, f"{API} migrate")
    logs.configure(API, settings.log_level)
    from shared.migrations import upgrade  # noqa: PLC0415

    upgrade.migrate(settings.postgres_url, settings.sms_database, "sms_service")


def after_restore(_: argparse.Namespace) -> None:
    """After a backup was restored: end the codes that may have been used, and the messages that may have been sent."""
    settings = load(DatabaseSettings, f"{API} after-restore")
    logs.configure(API, "error", to=sys.stderr)
    from sms_service.recovery import command  # noqa: PLC0415

    command.after_restore(settings.postgres_url, settings.sms_database)


def explain(arguments: argparse.Namespace) -> None:
    """Explain step by step why a number received no code."""
    settings = load(ExplainSettings, f"{API} explain")
    logs.configure(API, "warning", to=sys.stderr)
    from sms_service.explain import command  # noqa: PLC0415

    command.explain(settings, arguments.subject, arguments.days, as_json=arguments.json)


def preview(arguments: argparse.Namespace) -> None:
    """Show the text of each message with a sample code, and how many SMS segments it takes. Nothing is sent."""
    config = load(ConfigSettings, f"{API} preview").sms_config
    from sms_service.messages.preview import preview as previewed  # noqa: PLC0415

    texts = config.message_tables.composer
    sys.stdout.write(previewed(texts, arguments.number, arguments.language, arguments.dialect, arguments.client))


def spending(arguments: argparse.Namespace) -> None:
    """Show the budgets and the throttled and blocked prefixes, or unblock one."""
    settings = load(SpendingSettings, f"{API} spending")
    logs.configure(API, "error", to=sys.stderr)
    from sms_service.spending import cli  # noqa: PLC0415

    cli.spending(settings.sms_config.plan, settings.postgres_url, settings.sms_database, arguments.scope)


def audit_verify(arguments: argparse.Namespace) -> None:
    """Verify the audit trail of codes."""
    settings = load(AuditVerifySettings, f"{API} audit")
    logs.configure(API, "warning", to=sys.stderr)
    from sms_service.audit_commands import command  # noqa: PLC0415

    command.verify_events(settings, arguments)


def audit_show(arguments: argparse.Namespace) -> None:
    """Print rows of the audit trail of codes."""
    settings = load(AuditShowSettings, f"{API} audit")
    logs.configure(API, "warning", to=sys.stderr)
    from sms_service.audit_commands import command  # noqa: PLC0415

    command.show_events(settings, arguments)


def policy(arguments: argparse.Namespace) -> None:
    """Show what the settings promise: guesses, the worst bill, look-ups, and what keeps an owner from a code."""
    settings = load(PolicySettings, f"{API} policy")
    from sms_service.policy import command  # noqa: PLC0415

    command.print_policy(settings, arguments.dialect, as_json=arguments.json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command of the command line."""
    parser = argparse.ArgumentParser(prog="python -m sms_service", description=ABOUT)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parsers = {}
    for command in (serve, worker, migrate, after_restore, explain, preview, spending, policy):
        about = command.__doc__
        parsers[command] = commands.add_parser(command.__name__.replace("_", "-"), help=about, description=about)
        parsers[command].set_defaults(run=command)
    _add_explain(parsers[explain])
    _add_preview(parsers[preview])
    _add_spending(parsers[spending])
    _add_policy(parsers[policy])
    _add_audit(commands)
    parser.set_defaults(run=serve)
    parsed = parser.parse_args(arguments)
    parsed.run(parsed)


def _add_audit(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from shared.audit.command import add_commands  # noqa: PLC0415

    add_commands(commands, audit_verify, audit_show)


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "subject", metavar="NUMBER|ID", help="a phone number in any format, or the id of a verification or message"
    )
    parser.add_argument(
        "--days",
        type=int,
        choices=range(1, MESSAGE_DAYS + 1),
        default=MESSAGE_DAYS,
        metavar="N",
        help="how many days to look back (default: %(default)s, which is all there is)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _add_preview(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--number", type=_number, default="+86", help="a number or a prefix (default: %(default)s)")
    parser.add_argument(
        "--language", type=Language, choices=list(Language), help="default: the language of the number's country"
    )
    parser.add_argument("--dialect", default="", help="the contract through which the code is requested")
    parser.add_argument("--client", default="", help="the name that the client sends")


def _add_spending(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION")
    unblock = actions.add_parser("unblock", help="unblock a prefix, and forget its earlier blocks and traffic")
    unblock.add_argument("scope", metavar="SCOPE", help="as the command shows it, such as range:+861380013")
    parser.set_defaults(scope=None)


def _add_policy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument(
        "--dialect",
        action="append",
        default=[],
        metavar="NAME:COOLDOWN:CAP",
        help="the rules of a contract, such as tel:60:3 (make policy passes those of the gateway)",
    )


def _number(text: str) -> str:
    if not re.fullmatch(r"\+[0-9]{1,15}", text):
        raise argparse.ArgumentTypeError("expected a plus sign and digits, such as +86")
    return text


if __name__ == "__main__":
    main()
