"""``python -m auth_service``: serve, migrate, ban, unban."""

import argparse
import sys
from collections.abc import Callable, Sequence

from auth_service import cli
from auth_service.settings import AuthSettings, DatabaseSettings
from shared.postgres import migrate
from shared.process import logs, web
from shared.process.settings import S, load
from shared.process.startup import UnreachableError

SERVICE = "auth-service"
KEEPALIVE_SECONDS = 75.0
ABOUT = "Accounts, passwords and sessions. Without a command it serves. Settings come from the environment."


def serve() -> None:
    """Answer calls until told to stop (the default)."""
    settings = _settings(AuthSettings)
    from auth_service.app import create_app  # noqa: PLC0415  a migration needs none of it

    app = create_app(settings)
    web.run(
        web.serve(app, host=settings.bind_address, port=settings.auth_port, keepalive_seconds=KEEPALIVE_SECONDS),
        SERVICE,
    )


def apply_migrations() -> None:
    """Create the database where it is missing and bring its schema up to date."""
    settings = _settings(DatabaseSettings)
    try:
        migrate(settings.postgres_url, settings.auth_database, "auth_service")
    except UnreachableError as error:
        sys.stderr.write(f"{SERVICE} cannot migrate: {error}\n")
        raise SystemExit(1) from None


COMMANDS: dict[str, Callable[[], None]] = {"serve": serve, "migrate": apply_migrations}
ON_A_USER: dict[str, Callable[[AuthSettings, int], None]] = {"ban": cli.ban, "unban": cli.unban}


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says. Settings come from the environment."""
    parser = argparse.ArgumentParser(prog="python -m auth_service", description=ABOUT)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.__doc__, description=command.__doc__)
    for name, deed in ON_A_USER.items():
        told = commands.add_parser(name, help=deed.__doc__, description=deed.__doc__)
        told.add_argument("user_id", metavar="USER_ID", type=int, help="the account's number in events and in answers")
    parser.set_defaults(command="serve")
    asked = parser.parse_args(arguments)
    if asked.command in ON_A_USER:
        ON_A_USER[asked.command](_settings(AuthSettings), asked.user_id)
    else:
        COMMANDS[asked.command]()


def _settings(model: type[S]) -> S:
    settings = load(model, SERVICE)
    logs.configure(SERVICE, settings.log_level)
    return settings


if __name__ == "__main__":
    main()
