"""The settings of contacts-service."""

from typing import Any

from pydantic import Field, SecretStr, field_validator

from shared.internal_api.principals import Principal
from shared.phone import MAINLAND
from shared.process.settings import (
    AmqpUrl,
    CallerLimitSettings,
    Count,
    HexKey,
    OperatorTokens,
    PostgresUrl,
    RedisUrl,
    ServiceUrl,
    Settings,
    Tokens,
    Words,
    split_words,
)


class DatabaseSettings(Settings):
    """The settings of ``migrate``, which needs no secret but the database's."""

    postgres_url: PostgresUrl
    contacts_database: str = "contacts"


class ContactsSettings(DatabaseSettings, CallerLimitSettings):
    """The settings of the server. ``SERVED_CALLING_CODES`` is a list such as ``86,852``.

    A user may look up ``contacts_budget`` distinct numbers, and ``contacts_budget_per_hour`` more for each hour, in
    ``contacts_calls_per_minute`` calls (docs/operations/limits.md). The directory is compared with the accounts every
    ``directory_check_seconds`` (0: never); a difference that lasts ``directory_settle_seconds`` is corrected, so it
    must be longer than an event is on its way.
    """

    contacts_port: int = Field(default=8083, ge=1, le=65535)
    contacts_monitoring_port: int = Field(default=9083, ge=1, le=65535)
    redis_url: RedisUrl
    amqp_url: AmqpUrl
    auth_url: ServiceUrl = "http://127.0.0.1:8081"
    gateway_to_contacts_token: Tokens
    contacts_to_auth_token: Tokens
    operator_to_contacts_token: OperatorTokens | None = None
    phone_key: HexKey
    served_calling_codes: Words = Field(default=(MAINLAND,), min_length=1)
    contacts_budget: Count = 5_000
    contacts_budget_per_hour: Count = 20
    contacts_calls_per_minute: Count = 30
    directory_check_seconds: int = Field(default=600, ge=0)
    directory_settle_seconds: int = Field(default=120, ge=1)

    @field_validator("served_calling_codes", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        return split_words(value)

    @property
    def principal_tokens(self) -> dict[Principal, SecretStr | None]:
        """What each principal presents that may call contacts-service."""
        return {
            Principal.GATEWAY: self.gateway_to_contacts_token,
            Principal.OPERATOR: self.operator_to_contacts_token,
        }

    @property
    def calls_per_minute(self) -> int | None:
        """How many calls a user may make in a minute; None if callers are not limited."""
        return self.contacts_calls_per_minute if self.limits_callers else None
