"""The settings of auth-service, from environment variables: the names of the fields in capitals."""

import os
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.internal_api.public_keys import JwtAlgorithm
from shared.keys import KeyRing
from shared.process.settings import (
    AmqpUrl,
    Count,
    Environment,
    HexKey,
    Keys,
    Networks,
    OnOff,
    PostgresUrl,
    Settings,
    split_networks,
)

SEED_BYTES = 32


class DatabaseSettings(Settings):
    """The settings of a migration, which needs no key."""

    postgres_url: PostgresUrl
    auth_database: str = Field(default="auth", pattern="^[a-z_][a-z0-9_]{0,62}$")


class AuditSettings(DatabaseSettings):
    """The settings of the commands that read the audit log."""

    phone_key: HexKey
    audit_keys: Keys


class AuthSettings(AuditSettings):
    """The settings of the service and of the operator's other commands."""

    auth_port: int = Field(default=8081, ge=1, le=65_535)
    amqp_url: AmqpUrl
    postgres_connections: int = Field(default=10, ge=2, le=200)
    service_token: HexKey
    ticket_keys: Keys
    password_peppers: Keys
    jwt_keys: Keys
    jwt_issuer: str = Field(default="haoma", min_length=1, max_length=256)
    jwt_audience: str = Field(default="", max_length=256)
    jwt_algorithm: JwtAlgorithm = JwtAlgorithm.EDDSA
    caller_limits: OnOff = OnOff.ON
    caller_allow_list: Networks = ()
    caller_failed_logins_per_number: Count = 10
    caller_failed_logins_per_network: Count = 300
    caller_failed_logins_per_site: Count = 1_200
    caller_failed_logins_per_app: Count = 3_000
    caller_changes_per_user_hour: Count = 120
    nickname_prefix: str = Field(default="用户", max_length=16)
    password_hash_threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    password_hash_queue: int = Field(default=256, ge=1)
    audit_days: int = Field(default=190, ge=30)

    _networks = field_validator("caller_allow_list", mode="before")(split_networks)

    @field_validator("jwt_keys")
    @classmethod
    def _keys_are_seeds(cls, keys: SecretStr) -> SecretStr:
        if any(len(seed) != SEED_BYTES for seed in KeyRing.parse(keys.get_secret_value()).by_id.values()):
            raise ValueError("a key is exactly 64 hex digits (32 bytes)")
        return keys

    @model_validator(mode="after")
    def _limits_hold_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION and self.caller_limits is OnOff.OFF:
            raise ValueError("CALLER_LIMITS=off is a switch for development: unset it in production")
        return self

    @property
    def changes_per_user_hour(self) -> int | None:
        """How many changes of their account a user may make in an hour; None if callers are not limited."""
        return self.caller_changes_per_user_hour if self.caller_limits is OnOff.ON else None
