"""``python -m contacts_service``: serve requests, ``migrate`` the database, or show the ``policy``."""

import argparse

from contacts_service.settings import ContactsSettings, DatabaseSettings
from shared.process.logs import configure
from shared.process.settings import load

SERVICE = "contacts-service"


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(prog="python -m contacts_service", description="Finds members among contacts.")
    parser.add_argument(
        "command",
        nargs="?",
        choices=("serve", "migrate", "policy"),
        default="serve",
        help="serve (default): match contacts and keep the directory up to date; migrate: update the database schema; "
        "policy: show what the settings promise",
    )
    parser.add_argument("--json", action="store_true", help="policy: print JSON, for programs")
    arguments = parser.parse_args()
    if arguments.command == "policy":
        _policy(as_json=arguments.json)
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


def _serve() -> None:
    settings = load(ContactsSettings, SERVICE)
    configure(SERVICE, settings.log_level)
    from contacts_service.app import create_app  # noqa: PLC0415  as above
    from shared.process.web import run, serve  # noqa: PLC0415

    app = create_app(settings)
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
