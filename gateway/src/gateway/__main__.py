"""``python -m gateway``: serve the public API (the default) or the operator API, or run a command."""

import argparse
import sys
from typing import NoReturn

from aiohttp.web import Application

from gateway.http import app_keys
from gateway.named_operators import Role
from gateway.named_operators import generate as generate_operator
from gateway.settings import GatewaySettings, OperateSettings, OperatorApiSettings
from shared.process import logs, web
from shared.process.settings import load
from shared.process.tracing.setup import record_spans

KEEPALIVE_SECONDS = 15.0

# The large imports of each command are in the command.


def serve(_: argparse.Namespace) -> None:
    """Serve the public API until a signal ends the process (the default)."""
    settings = load(GatewaySettings, "gateway")
    logs.configure("gateway", settings.log_level)
    from gateway.app import create_app  # noqa: PLC0415

    app = create_app(settings)
    record_spans("gateway", settings, decides=True)
    _run(app, settings, "gateway", settings.gateway_port, settings.gateway_monitoring_port)


def serve_operators(_: argparse.Namespace) -> None:
    """Serve the operator API, for named operators in your own network."""
    settings = load(OperatorApiSettings, "operator-api")
    logs.configure("operator-api", settings.log_level)
    from gateway.operators.app import create_operator_api  # noqa: PLC0415

    app = create_operator_api(settings)
    _run(app, settings, "operator-api", settings.operator_port, settings.operator_monitoring_port)


def _run(
    app: Application, settings: GatewaySettings | OperatorApiSettings, process: str, port: int, monitoring_port: int
) -> None:
    serving = web.serve(
        app,
        host=settings.bind_address,
        port=port,
        monitoring_port=monitoring_port,
        keepalive_seconds=KEEPALIVE_SECONDS,
        withdraw_seconds=settings.withdraw_seconds,
    )
    web.run(serving, process)


def operate(options: argparse.Namespace) -> None:
    """Find, change and explain as an operator: the calls of the operator API."""
    settings = load(OperateSettings, "operate")
    logs.configure("operate", "error", to=sys.stderr)
    from gateway.operators import command  # noqa: PLC0415

    command.operate(settings, options)


def shadow(options: argparse.Namespace) -> None:
    """Make recorded calls of another back end on Haoma, and compare the answers field by field."""
    logs.configure("shadow", "error", to=sys.stderr)
    from gateway.shadow import command  # noqa: PLC0415

    command.shadow(options)


def print_policy(options: argparse.Namespace) -> None:
    """Show the contracts, their sending rules and their calls (make policy)."""
    from gateway import policy  # noqa: PLC0415

    policy.print_policy(load(GatewaySettings, "gateway policy"), as_json=options.json)


def print_app_key(options: argparse.Namespace) -> None:
    """Make a key for an app's own server."""
    try:
        key, entry = app_keys.generate(options.name)
    except ValueError as error:
        _end(options.parser, error)
    sys.stdout.write(f"{key}\n{entry}\n")
    sys.stderr.write(
        "The first line is the key, for your server only (Authorization: App <key>). It is shown once.\n"
        "Add the second line to APP_KEYS of the gateway; a comma separates several.\n"
    )


def print_operator_key(options: argparse.Namespace) -> None:
    """Make a key for an operator, and the entry of OPERATORS_FILE that accepts it."""
    try:
        key, entry = generate_operator(options.name, Role(options.role))
    except ValueError as error:
        _end(options.parser, error)
    sys.stdout.write(f"{key}\n{entry}")
    sys.stderr.write(
        "The first line is the key, for this operator only (OPERATOR_KEY). It is shown once.\n"
        "Add the rest to OPERATORS_FILE of the operator API, and restart it.\n"
    )


def _end(parser: argparse.ArgumentParser, error: ValueError) -> NoReturn:
    parser.error(str(error))


def main() -> None:
    """Run the command of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway", description="The public API of Haoma. Settings come from the environment."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parsers = {}
    for name, command in {
        "serve": serve,
        "operator-api": serve_operators,
        "operate": operate,
        "shadow": shadow,
        "policy": print_policy,
        "app-key": print_app_key,
        "operator-key": print_operator_key,
    }.items():
        parsers[name] = commands.add_parser(name, help=command.__doc__, description=command.__doc__)
        parsers[name].set_defaults(run=command, parser=parsers[name])
    parsers["policy"].add_argument("--json", action="store_true", help="print JSON, for programs")
    parsers["app-key"].add_argument("name", metavar="NAME", help="the app: lower-case letters, digits and dashes")
    parsers["operator-key"].add_argument("name", metavar="NAME", help="who it is, as the audit log will say")
    parsers["operator-key"].add_argument("--role", choices=[*Role], required=True, help="support only looks")
    if sys.argv[1:2] == ["operate"]:
        from gateway.operators.command import add_calls  # noqa: PLC0415  the other commands start faster without it

        add_calls(parsers["operate"])
    if sys.argv[1:2] == ["shadow"]:
        from gateway.shadow.command import add_arguments  # noqa: PLC0415  as above

        add_arguments(parsers["shadow"])
    parser.set_defaults(run=serve)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
