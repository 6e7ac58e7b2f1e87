"""``python -m gateway``: read the settings, configure logs, and serve. ``app-key`` makes a key for an app's server."""

import argparse
import sys

from gateway.app import create_app
from gateway.http.app_keys import generate
from gateway.policy import print_policy
from gateway.settings import GatewaySettings
from shared.process import logs, web
from shared.process.settings import load
from shared.process.tracing.setup import record_spans

KEEPALIVE_SECONDS = 15.0


def main() -> None:
    """Serve until a signal ends the process, or run a command."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway", description="The public API of Haoma. Settings come from the environment."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    app_key = commands.add_parser("app-key", help="make a key for an app's own server")
    app_key.add_argument("name", metavar="NAME", help="the app: lower-case letters, digits and dashes")
    policy = commands.add_parser("policy", help="show the contracts, their sending rules and their calls (make policy)")
    policy.add_argument("--json", action="store_true", help="print JSON, for programs")
    arguments = parser.parse_args()
    if arguments.command == "policy":
        print_policy(load(GatewaySettings, "gateway policy"), as_json=arguments.json)
    elif arguments.command == "app-key":
        print_app_key(parser, arguments.name)
    else:
        serve()


def print_app_key(parser: argparse.ArgumentParser, name: str) -> None:
    """Print a new key, which is stored nowhere, and the entry of ``APP_KEYS`` that accepts it."""
    try:
        key, entry = generate(name)
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.write(f"{key}\n{entry}\n")
    sys.stderr.write(
        "The first line is the key, for your server only (Authorization: App <key>). It is shown once.\n"
        "Add the second line to APP_KEYS of the gateway; a comma separates several.\n"
    )


def serve() -> None:
    """Serve until a signal ends the process."""
    settings = load(GatewaySettings, "gateway")
    logs.configure("gateway", settings.log_level)
    app = create_app(settings)
    record_spans("gateway", settings, decides=True)
    web.run(
        web.serve(
            app,
            host=settings.bind_address,
            port=settings.gateway_port,
            monitoring_port=settings.gateway_monitoring_port,
            keepalive_seconds=KEEPALIVE_SECONDS,
            withdraw_seconds=settings.withdraw_seconds,
        ),
        "gateway",
    )


if __name__ == "__main__":
    main()
