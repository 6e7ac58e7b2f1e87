"""What the processes of sms-service are told by their environment."""

import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator

from shared.process.settings import (
    AmqpUrl,
    Environment,
    HexKey,
    Keys,
    OnOff,
    PostgresUrl,
    RedisUrl,
    ServiceUrl,
    Settings,
)
from sms_service import config_loader


class DatabaseSettings(Settings):
    """Enough to migrate: the job that changes the schema is given no key that makes codes."""

    postgres_url: PostgresUrl
    sms_database: str = "sms"


class ExplainSettings(DatabaseSettings):
    """Enough to explain what happened to a number: nothing that makes or sends a code."""

    phone_key: HexKey
    service_token: HexKey
    auth_url: ServiceUrl = "http://127.0.0.1:8081"


class RoutesSettings(Settings):
    """Enough to show what messages say: the file of routes, and the variables that it names."""

    sms_config_file: Path | None = None
    _routing: config_loader.SmsConfig = PrivateAttr(default=config_loader.INBOX_ONLY)

    @field_validator("sms_config_file", mode="before")
    @classmethod
    def _empty_is_missing(cls, given: Any) -> Any:
        return given or None

    @model_validator(mode="after")
    def _read_routes(self) -> Self:
        if self.sms_config_file is not None:
            development = self.environment is Environment.DEVELOPMENT
            try:
                self._routing = config_loader.read(self.sms_config_file, os.environ, inbox_allowed=development)
            except config_loader.InvalidConfigError as error:
                raise ValueError(f"SMS_CONFIG_FILE: {error}") from None
        elif self.environment is Environment.PRODUCTION:
            raise ValueError("SMS_CONFIG_FILE is missing: it names the file that says who carries messages")
        return self

    @property
    def routing(self) -> config_loader.SmsConfig:
        """What ``SMS_CONFIG_FILE`` says; without it, in development, everything goes to the inbox."""
        return self._routing


class SpendingSettings(DatabaseSettings, RoutesSettings):
    """Enough to show what is spent, and to let a prefix go."""


class SmsSettings(ExplainSettings, SpendingSettings):
    """What the API and the delivery worker need; both read the same variables."""

    sms_port: int = Field(default=8082, ge=1, le=65535)
    sms_worker_port: int = Field(default=8084, ge=1, le=65535)
    redis_url: RedisUrl
    amqp_url: AmqpUrl
    ticket_keys: Keys
    code_keys: Keys
    operator_token: SecretStr | None = Field(default=None, min_length=32)
    inbox_url: str | None = None
    caller_limits: OnOff = OnOff.ON
    reveal_codes: bool = False
    master_code: str | None = Field(default=None, pattern="^[0-9]{3,6}$")

    @property
    def inbox_address(self) -> str:
        """Where the development sender posts: the API process, which holds the inbox."""
        return (self.inbox_url or f"http://127.0.0.1:{self.sms_port}").rstrip("/")

    @model_validator(mode="after")
    def _nothing_for_development_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION and self.caller_limits is OnOff.OFF:
            raise ValueError("CALLER_LIMITS is off: that is for development, unset it in production")
        if self.environment is Environment.PRODUCTION and (self.reveal_codes or self.master_code):
            name = "REVEAL_CODES" if self.reveal_codes else "MASTER_CODE"
            raise ValueError(f"{name} is a switch for development: unset it in production")
        return self

    @model_validator(mode="after")
    def _operators_have_a_token_of_their_own(self) -> Self:
        if self.operator_token is not None and self.operator_token == self.service_token:
            raise ValueError("OPERATOR_TOKEN is SERVICE_TOKEN: make one of its own")
        return self
