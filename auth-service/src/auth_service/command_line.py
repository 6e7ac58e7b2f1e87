"""The commands of ``python -m auth_service``: migrate, import, export, ban, unban, erase, accounts, audit, and more."""

import argparse
import sys
from collections.abc import Callable, Sequence

from auth_service.audit import Operator
from auth_service.audit_commands import command as audit_command
from auth_service.commands import accounts, after_restore, republish, users
from auth_service.exporting import command as export_command
from auth_service.importing import command as import_command
from auth_service.policy import log_ins
from auth_service.serving import SERVICE, serve
from auth_service.settings import AuditSettings, AuthSettings, DatabaseSettings
from shared.migrations.upgrade import migrate
from shared.policy.table import write
from shared.process import logs
from shared.process.settings import S, load

DESCRIPTION = "Accounts, passwords and sessions. Without a command it serves. Settings come from the environment."


def apply_migrations() -> None:
    """Create the database if it is missing, and bring its schema up to date."""
    settings = _settings(DatabaseSettings, "migrate")
    migrate(settings.postgres_url, settings.auth_database, "auth_service")


def print_policy(*, as_json: bool) -> None:
    """Show what the settings promise: guesses at passwords, and what keeps an owner from a log-in."""
    write(log_ins.lines(load(AuthSettings, f"{SERVICE} policy")), as_json=as_json)


COMMANDS: dict[str, Callable[[], None]] = {"serve": serve, "migrate": apply_migrations}
USER_COMMANDS: dict[str, Callable[[AuthSettings, int, Operator], None]] = {
    "ban": users.ban,
    "unban": users.unban,
    "erase": users.erase,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m auth_service", description=DESCRIPTION)
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        parsers.add_parser(name, help=command.__doc__, description=command.__doc__)
    for name, user_command in USER_COMMANDS.items():
        users.add_arguments(parsers.add_parser(name, help=user_command.__doc__, description=user_command.__doc__))
    audit_command.add_commands(parsers)
    about = accounts.accounts.__doc__
    accounts.add_arguments(parsers.add_parser("accounts", help=about, description=about))
    about = after_restore.after_restore.__doc__
    after_restore.add_arguments(parsers.add_parser("after-restore", help=about, description=about))
    about = import_command.import_users.__doc__
    import_command.add_arguments(parsers.add_parser("import", help=about, description=about))
    about = export_command.export_users.__doc__
    export_command.add_arguments(parsers.add_parser("export", help=about, description=about))
    about = republish.republish.__doc__
    republish.add_arguments(parsers.add_parser("republish", help=about, description=about))
    about = print_policy.__doc__
    policy_parser = parsers.add_parser("policy", help=about, description=about)
    policy_parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(command="serve")
    _run(parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    if options.command == "republish":
        republish.republish(_settings(AuthSettings, options.command), options)
    elif options.command == "after-restore":
        after_restore.after_restore(_settings(DatabaseSettings, options.command), options)
    elif options.command == "policy":
        print_policy(as_json=options.json)
    elif options.command == "accounts":
        accounts.accounts(_settings(AuthSettings, options.command), options)
    elif options.command == "import":
        import_command.import_users(_settings(AuthSettings, options.command), options)
    elif options.command == "export":
        logs.configure(SERVICE, "warning", to=sys.stderr)  # standard output may be the export
        export_command.export_users(load(AuthSettings, f"{SERVICE} export"), options)
    elif options.command in USER_COMMANDS:
        settings, operator = _settings(AuthSettings, options.command), Operator(options.by, options.reason)
        USER_COMMANDS[options.command](settings, options.user_id, operator)
    elif options.command == "audit":
        logs.configure(SERVICE, "warning", to=sys.stderr)
        options.run(load(AuditSettings, f"{SERVICE} audit"), options)
    else:
        COMMANDS[options.command]()


def _settings(model: type[S], command: str = "") -> S:
    settings = load(model, f"{SERVICE} {command}".strip())
    logs.configure(SERVICE, settings.log_level)
    return settings
