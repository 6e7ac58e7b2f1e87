"""The settings of auth-service, from environment variables: the names of the fields in capitals."""

from datetime import timedelta
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.internal_api.principals import Principal
from shared.internal_api.public_keys import JwtAlgorithm
from shared.keys import KeyRing
from shared.process.settings import (
    AmqpUrl,
    CallerLimitSettings,
    Count,
    HexKey,
    Keys,
    Networks,
    OperatorTokens,
    PostgresUrl,
    SecureUrl,
    Settings,
    Tokens,
    WebhookSecrets,
    split_networks,
)

SEED_BYTES = 32
MIN_RECYCLED_DAYS = 32
"""A dormant account has no living session: one ends after 30 days without use, and uses are noted to the day."""


class DatabaseSettings(Settings):
    """The settings of a migration, which needs no key."""

    postgres_url: PostgresUrl
    auth_database: str = Field(default="auth", pattern="^[a-z_][a-z0-9_]{0,62}$")


class AuditSettings(DatabaseSettings):
    """The settings of the commands that read the audit log."""

    phone_key: HexKey
    audit_keys: Keys


class AuthSettings(AuditSettings, CallerLimitSettings):
    """The settings of the service and of the operator's other commands."""

    auth_port: int = Field(default=8081, ge=1, le=65_535)
    auth_monitoring_port: int = Field(default=9081, ge=1, le=65_535)
    amqp_url: AmqpUrl
    postgres_connections: int = Field(default=10, ge=2, le=200)
    gateway_to_auth_token: Tokens
    sms_to_auth_token: Tokens
    contacts_to_auth_token: Tokens
    operator_to_auth_token: OperatorTokens | None = None
    ticket_keys: Keys
    password_peppers: Keys
    jwt_keys: Keys
    jwt_issuer: str = Field(default="haoma", min_length=1, max_length=256)
    jwt_audience: str = Field(default="", max_length=256)
    jwt_algorithm: JwtAlgorithm = JwtAlgorithm.EDDSA
    caller_allow_list: Networks = ()
    caller_failed_logins_per_number: Count = 10
    caller_failed_logins_per_network: Count = 300
    caller_failed_logins_per_site: Count = 1_200
    caller_failed_logins_per_app: Count = 3_000
    caller_failed_logins_per_number_day: Count = 30
    caller_logins_per_number_hour: Count = 20
    caller_logins_per_network_hour: Count = 600
    caller_logins_per_site_hour: Count = 1_800
    caller_logins_per_app_hour: Count = 6_000
    caller_changes_per_user_hour: Count = 120
    nickname_prefix: str = Field(default="用户", max_length=16)
    password_hash_threads: int | None = Field(default=None, ge=1, le=256)
    """None: as many as the process may use CPUs."""
    password_hash_queue: int = Field(default=256, ge=1)
    password_refusal_seconds: float = Field(default=0.0, ge=0, le=1)
    audit_days: int = Field(default=190, ge=30)
    recycled_after_days: int = Field(default=60, ge=0)
    user_source_url: SecureUrl | None = None
    user_source_secret: WebhookSecrets | None = None
    user_source_seconds: float = Field(default=0.8, ge=0.1, le=2)
    user_source_per_second: int = Field(default=20, ge=1, le=1_000)
    user_source_absent_seconds: int = Field(default=600, ge=1, le=86_400)
    user_source_look_up_seconds: float = Field(default=0.0, ge=0, le=2)

    _networks = field_validator("caller_allow_list", mode="before")(split_networks)

    @field_validator("jwt_keys")
    @classmethod
    def _keys_are_seeds(cls, keys: SecretStr) -> SecretStr:
        if any(len(seed) != SEED_BYTES for seed in KeyRing.parse(keys.get_secret_value()).by_id.values()):
            raise ValueError("a key is exactly 64 hex digits (32 bytes)")
        return keys

    @field_validator("recycled_after_days")
    @classmethod
    def _outlasts_sessions(cls, days: int) -> int:
        if 0 < days < MIN_RECYCLED_DAYS:
            raise ValueError(f"is 0 (off), or at least {MIN_RECYCLED_DAYS}: a session lives 30 days without use")
        return days

    @model_validator(mode="after")
    def _signs_for_its_user_source(self) -> Self:
        if self.user_source_url is not None and self.user_source_secret is None:
            raise ValueError("USER_SOURCE_SECRET is missing: it signs what is sent to USER_SOURCE_URL")
        return self

    @property
    def principal_tokens(self) -> dict[Principal, SecretStr | None]:
        """What each principal presents that may call auth-service."""
        return {
            Principal.GATEWAY: self.gateway_to_auth_token,
            Principal.SMS_SERVICE: self.sms_to_auth_token,
            Principal.CONTACTS_SERVICE: self.contacts_to_auth_token,
            Principal.OPERATOR: self.operator_to_auth_token,
        }

    @property
    def dormant_after(self) -> timedelta | None:
        """How long an account is not seen before its number may be someone else's; None for ever."""
        return timedelta(days=self.recycled_after_days) if self.recycled_after_days else None

    @property
    def changes_per_user_hour(self) -> int | None:
        """How many changes of their account a user may make in an hour; None if callers are not limited."""
        return self.caller_changes_per_user_hour if self.limits_callers else None
