"""The settings of sms-service's processes and commands, each with only what it needs."""

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
    """For ``migrate``: the job that changes the schema has no key that makes codes."""

    postgres_url: PostgresUrl
    sms_database: str = "sms"


class ExplainSettings(DatabaseSettings):
    """For ``explain``: it has no key that makes codes and no sender."""

    phone_key: HexKey
    service_token: HexKey
    auth_url: ServiceUrl = "http://127.0.0.1:8081"


class ConfigSettings(Settings):
    """For ``preview``: the settings file and the variables that it names."""

    sms_config_file: Path | None = None
    _sms_config: config_loader.SmsConfig = PrivateAttr(default=config_loader.INBOX_ONLY)

    @field_validator("sms_config_file", mode="before")
    @classmethod
    def _read_empty_as_unset(cls, value: Any) -> Any:
        return value or None

    @model_validator(mode="after")
    def _read_config_file(self) -> Self:
        if self.sms_config_file is not None:
            try:
                self._sms_config = config_loader.read(
                    self.sms_config_file, os.environ, inbox_allowed=self.is_development
                )
            except config_loader.InvalidConfigError as error:
                raise ValueError(f"SMS_CONFIG_FILE: {error}") from None
        elif not self.is_development:
            raise ValueError("SMS_CONFIG_FILE is missing: name the file that configures the senders")
        return self

    @property
    def is_development(self) -> bool:
        """Whether switches and senders for development are allowed."""
        return self.environment is Environment.DEVELOPMENT

    @property
    def sms_config(self) -> config_loader.SmsConfig:
        """The content of ``SMS_CONFIG_FILE``. Without a file, in development, all messages go to the inbox."""
        return self._sms_config


class SpendingSettings(DatabaseSettings, ConfigSettings):
    """For ``spending``: it has no key at all."""


class SmsSettings(ExplainSettings, SpendingSettings):
    """For the API and the delivery worker. Both read the same variables."""

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
        """The address of the API process, which holds the development inbox."""
        return (self.inbox_url or f"http://127.0.0.1:{self.sms_port}").rstrip("/")

    @property
    def limits_callers(self) -> bool:
        """Whether requests are limited by where they come from."""
        return self.caller_limits is OnOff.ON

    @model_validator(mode="after")
    def _refuse_development_switches_in_production(self) -> Self:
        if self.is_development:
            return self
        if not self.limits_callers:
            raise ValueError("CALLER_LIMITS is off: that is for development, unset it in production")
        for name, switch in (("REVEAL_CODES", self.reveal_codes), ("MASTER_CODE", self.master_code)):
            if switch:
                raise ValueError(f"{name} is a switch for development: unset it in production")
        return self

    @model_validator(mode="after")
    def _require_own_operator_token(self) -> Self:
        if self.operator_token is not None and self.operator_token == self.service_token:
            raise ValueError("OPERATOR_TOKEN is the same as SERVICE_TOKEN: generate a separate one")
        return self
