"""Secrets as files, for ``docker-compose.yml``: one for each secret, password and URL of a server with its password."""

from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

from stack.keys import OPERATOR_KEY, PASSWORDS, generate
from stack.roles.catalogue import BY_VARIABLE, OPERATOR, Role

SERVERS = {
    "POSTGRES_URL": "postgresql://{}@postgres/{}",
    "AMQP_URL": "amqp://{}@rabbitmq/%2F",
    "REDIS_URL": "redis://{}@valkey/0",
}
"""The URLs of the servers in the containers, by the variables that have them."""

NOT_FOR_CONTAINERS = {OPERATOR_KEY, "WORKER_TO_INBOX_TOKEN"}
"""Secrets of the local stack: operators make keys of their own, and the inbox needs no token."""
GRAFANA = "GRAFANA_PASSWORD"


def write_missing(folder: Path) -> list[str]:
    """Create the files that are missing, and return their names. A new password comes with new URLs.

    Only the owner can enter the folder. Inside, the files can be read by all, because each container has a user of its
    own.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = generate()
    secrets = {name: made[name] for name in made if name not in NOT_FOR_CONTAINERS} | {GRAFANA: token_hex(16)}
    fresh = {name: text for name, text in secrets.items() if not (folder / name.lower()).exists()}
    known = {name: (folder / name.lower()).read_text() for name in PASSWORDS if name not in fresh} | fresh
    files = fresh | {
        name: url
        for name, (url, password) in urls(known).items()
        if password in fresh or not (folder / name.lower()).exists()
    }
    for name, text in files.items():
        _write(folder / name.lower(), text)
    return sorted(name.lower() for name in files)


def urls(passwords: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The URL of each role's server, by its name, with the name of the password that is part of it."""
    roles = {
        f"{_prefix(role)}_{variable}": (variable, role)
        for variable, roles in BY_VARIABLE.items()
        for role in roles.values()
    }
    roles["OPERATOR_AMQP_URL"] = ("AMQP_URL", Role(OPERATOR, "AMQP_PASSWORD"))
    return {
        name: (
            SERVERS[variable].format(f"{role.user}:{passwords[role.password_variable]}", role.database),
            role.password_variable,
        )
        for name, (variable, role) in roles.items()
    }


def _prefix(role: Role) -> str:
    """``AUTH`` of the role ``auth_service``, ``AUTH_MIGRATE`` of ``auth_migrate``."""
    return role.user.removesuffix("_service").upper()


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o444)
