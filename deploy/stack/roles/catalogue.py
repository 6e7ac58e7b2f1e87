"""The roles: one for each service on each server that it uses.

The other files of this folder create them, here and in the containers (docs/security/least-privilege.md).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OPERATOR = "operator"
"""The user of Valkey and RabbitMQ that may do everything. No process of ours is it."""

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Role:
    """A role on one server, the variable that has its password, and the database that it connects to."""

    user: str
    password_variable: str
    database: str = ""


POSTGRES = {
    "auth-service": Role("auth_service", "AUTH_POSTGRES_PASSWORD", "auth"),
    "sms-service": Role("sms_service", "SMS_POSTGRES_PASSWORD", "sms"),
    "sms-worker": Role("sms_service", "SMS_POSTGRES_PASSWORD", "sms"),
    "contacts-service": Role("contacts_service", "CONTACTS_POSTGRES_PASSWORD", "contacts"),
    "auth-service-migrate": Role("auth_migrate", "AUTH_MIGRATE_POSTGRES_PASSWORD", "auth"),
    "sms-service-migrate": Role("sms_migrate", "SMS_MIGRATE_POSTGRES_PASSWORD", "sms"),
    "contacts-service-migrate": Role("contacts_migrate", "CONTACTS_MIGRATE_POSTGRES_PASSWORD", "contacts"),
}

AMQP = {
    "auth-service": Role("auth_service", "AUTH_AMQP_PASSWORD"),
    "sms-service": Role("sms_service", "SMS_AMQP_PASSWORD"),
    "sms-worker": Role("sms_service", "SMS_AMQP_PASSWORD"),
    "contacts-service": Role("contacts_service", "CONTACTS_AMQP_PASSWORD"),
}
REDIS = {
    "sms-service": Role("sms_service", "SMS_REDIS_PASSWORD"),
    "contacts-service": Role("contacts_service", "CONTACTS_REDIS_PASSWORD"),
}

BY_VARIABLE: Mapping[str, Mapping[str, Role]] = {"POSTGRES_URL": POSTGRES, "AMQP_URL": AMQP, "REDIS_URL": REDIS}
"""For each server, by the variable with its URL: the roles of our processes, by the names of the processes."""


def password_variables() -> list[str]:
    """The variables with the passwords of all roles."""
    return sorted({role.password_variable for roles in BY_VARIABLE.values() for role in roles.values()})


class Passwords:
    """The passwords of the roles on one server: the chosen ones, and random ones for the roles without."""

    def __init__(self, variable: str, chosen: Mapping[str, str]) -> None:
        self._roles = BY_VARIABLE[variable]
        names = {role.password_variable for role in self._roles.values()}
        self.by_variable = {name: chosen.get(name) or secrets.token_hex(16) for name in sorted(names)}

    def role(self, process: str) -> tuple[Role, str] | None:
        """The role of a process, with its password; None if the process does not use this server."""
        role = self._roles.get(process)
        return (role, self.by_variable[role.password_variable]) if role else None
