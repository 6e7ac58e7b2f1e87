"""``python -m contacts_service``: serve requests, ``migrate`` the database, show the ``policy`` or who is ``gone``."""

import argparse
from datetime import UTC, datetime

from contacts_service.settings import ContactsSettings, DatabaseSettings
from shared.process.logs import configure
from shared.process.settings import load
from shared.process.tracing.setup import record_spans

SERVICE = "contacts-service"


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(prog="python -m contacts_service", description="Finds members among contacts.")
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "migrate", "policy", "gone"),
        default="serve",
        help="serve (default): match contacts and keep the directory up to date; migrate: update the database schema; "
        "policy: show what the settings promise; gone: print the ids of users who were erased or lost their number",
    )
    parser.add_argument("--json", action="store_true", help="policy: print JSON, for programs")
    parser.add_argument(
        "--since", type=_timestamp, metavar="TIMESTAMP", help="gone: since then (ISO 8601; UTC if it has no offset)"
    )
    arguments = parser.parse_args()
    if arguments.command == "policy":
        _policy(as_json=arguments.json)
    elif arguments.command == "gone":
        _gone(arguments.since or parser.error("gone: say since when (--since)"))
    else:
        (_migrate if arguments.command == "migrate" else _serve)()


def _migrate() -> None:
    settings = load(DatabaseSettings, f"{SERVICE} migrate")
    configure(SERVICE, settings.log_level)
    from shared.migrations.upgrade import migrate  # noqa: PLC0415  each command imports only what it needs

    migrate(settings.postgres_url, settings.contacts_database, "contacts_service")


def _policy(*, as_json: bool) -> None:
    from contacts_service.policy.look_ups import lines  # noqa: PLC0415  as above
    from shared.policy.table import write  # noqa: PLC0415

    write(lines(load(ContactsSettings, f"{SERVICE} policy")), as_json=as_json)


def _gone(since: datetime) -> None:
    settings = load(DatabaseSettings, f"{SERVICE} gone")
    configure(SERVICE, "error")
    from contacts_service.gone import print_gone  # noqa: PLC0415  as above

    print_gone(settings.postgres_url, settings.contacts_database, since)


def _timestamp(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("expected a time such as 2026-11-28T06:00:00+08:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _serve() -> None:
    settings = load(ContactsSettings, SERVICE)
    configure(SERVICE, settings.log_level)
    from contacts_service.app import create_app  # noqa: PLC0415  as above
    from shared.process.web import run, serve  # noqa: PLC0415

    app = create_app(settings)
    record_spans(SERVICE, settings)
    serving = serve(
        app,
        host=settings.bind_address,
        port=settings.contacts_port,
        monitoring_port=settings.contacts_monitoring_port,
        keepalive_seconds=30.0,
        withdraw_seconds=settings.withdraw_seconds,
    )
    run(serving, SERVICE)


if __name__ == "__main__":
    main()
