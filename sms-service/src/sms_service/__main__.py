"""``python -m sms_service`` serves the API, ``… deliver`` sends messages, ``… migrate`` updates the schema."""

import argparse

from shared import logs
from shared.settings import load
from sms_service.settings import DatabaseSettings, SmsSettings

API = "sms-service"
WORKER = "sms-worker"
KEEPALIVE_SECONDS = 75.0
"""Longer than our own clients keep an idle connection, so that the server never closes one under a request."""

COMMANDS = """\
commands:
  serve      answer the gateway: issue and check codes (default)
  deliver    send the messages that were asked for
  migrate    create the database if it is missing and update its schema, then end
"""


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m sms_service",
        description="Codes by SMS. Settings are read from the environment.",
        epilog=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", default="serve", choices=("serve", "deliver", "migrate"))
    {"serve": serve, "deliver": deliver, "migrate": migrate}[parser.parse_args().command]()


def serve() -> None:
    """Run the API until told to stop."""
    settings = load(SmsSettings, API)
    logs.configure(API, settings.log_level)
    from shared import web  # noqa: PLC0415  a bad setting is told before half a second of imports
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


def deliver() -> None:
    """Run a delivery worker until told to stop."""
    settings = load(SmsSettings, WORKER)
    logs.configure(WORKER, settings.log_level)
    from shared import web  # noqa: PLC0415  as above
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


def migrate() -> None:
    """Update the schema and end. Safe to run from many places at once."""
    settings = load(DatabaseSettings, API)
    logs.configure(API, settings.log_level)
    from shared import postgres  # noqa: PLC0415  as above

    postgres.migrate(settings.postgres_url, settings.sms_database, "sms_service")


if __name__ == "__main__":
    main()
