"""The settings of sms-service's processes and commands, each with only what it needs."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator

from shared.process.settings import (
    AmqpUrl,
    Count,
    Environment,
    HexKey,
    Keys,
    Networks,
    OnOff,
    PostgresUrl,
    RedisUrl,
    ServiceUrl,
    Settings,
    split_networks,
)
from sms_service import config_loader
from sms_service.callers.failure_budget import ALL_FAILURES
from sms_service.callers.limits import DEFAULT_LIMITS, CallerLimitValues
from sms_service.verification.limits import APP_FAILURES, NETWORK_FAILURES


class DatabaseSettings(Settings):
    """For ``migrate``: the job that changes the schema has no key that makes codes."""

    postgres_url: PostgresUrl
    sms_database: str = "sms"


class ExplainSettings(DatabaseSettings):
    """For ``explain``: it has no key that makes codes and no sender."""

    phone_key: HexKey
    service_token: HexKey
    auth_url: ServiceUrl = "http://127.0.0.1:8081"


class AuditSettings(DatabaseSettings):
    """For ``audit``: the key of the references that rows have, and the keys that sealed them."""

    phone_key: HexKey
    audit_keys: Keys


class ConfigSettings(Settings):
    """For ``preview``: the settings file and the variables that it names."""

    sms_config_file: Path | None = None
    _sms_config: config_loader.SmsConfig = PrivateAttr(default=config_loader.INBOX_ONLY)

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


class CallerSettings(Settings):
    """The limits on callers (docs/operations/limits.md)."""

    caller_limits: OnOff = OnOff.ON
    caller_allow_list: Networks = ()
    caller_sends_per_address_hour: Count = DEFAULT_LIMITS.address_sends.allowed
    caller_sends_per_network_hour: Count = DEFAULT_LIMITS.network_sends.allowed
    caller_sends_per_site_hour: Count = DEFAULT_LIMITS.site_sends.allowed
    caller_sends_per_number_day: Count = DEFAULT_LIMITS.number_sends.allowed
    caller_lookups_per_address_minute: Count = DEFAULT_LIMITS.lookups_minute.allowed
    caller_lookups_per_address_hour: Count = DEFAULT_LIMITS.lookups_hour.allowed
    caller_lookups_per_network_hour: Count = DEFAULT_LIMITS.network_lookups.allowed
    caller_lookups_per_site_hour: Count = DEFAULT_LIMITS.site_lookups.allowed
    caller_wrong_codes_per_network_hour: Count = NETWORK_FAILURES
    caller_wrong_codes_per_hour: Count = ALL_FAILURES
    caller_sends_per_app_hour: Count = DEFAULT_LIMITS.app_sends.allowed
    caller_lookups_per_app_hour: Count = DEFAULT_LIMITS.app_lookups.allowed
    caller_wrong_codes_per_app_hour: Count = APP_FAILURES
    caller_sends_per_user_hour: Count = DEFAULT_LIMITS.user_sends.allowed

    _networks = field_validator("caller_allow_list", mode="before")(split_networks)

    @property
    def limits_callers(self) -> bool:
        """Whether requests are limited by where they come from."""
        return self.caller_limits is OnOff.ON

    @property
    def caller_limit_values(self) -> CallerLimitValues | None:
        """The limits that Redis decides; None if callers are not limited."""
        if not self.limits_callers:
            return None
        default = DEFAULT_LIMITS
        return CallerLimitValues(
            replace(default.address_sends, allowed=self.caller_sends_per_address_hour),
            replace(default.network_sends, allowed=self.caller_sends_per_network_hour),
            replace(default.site_sends, allowed=self.caller_sends_per_site_hour),
            replace(default.number_sends, allowed=self.caller_sends_per_number_day),
            replace(default.lookups_minute, allowed=self.caller_lookups_per_address_minute),
            replace(default.lookups_hour, allowed=self.caller_lookups_per_address_hour),
            replace(default.network_lookups, allowed=self.caller_lookups_per_network_hour),
            replace(default.site_lookups, allowed=self.caller_lookups_per_site_hour),
            replace(default.app_sends, allowed=self.caller_sends_per_app_hour),
            replace(default.app_lookups, allowed=self.caller_lookups_per_app_hour),
            replace(default.user_sends, allowed=self.caller_sends_per_user_hour),
            self.caller_allow_list,
        )


class SmsSettings(ExplainSettings, AuditSettings, SpendingSettings, CallerSettings):
    """For the API and the delivery worker. Both read the same variables."""

    sms_port: int = Field(default=8082, ge=1, le=65535)
    sms_worker_port: int = Field(default=8084, ge=1, le=65535)
    redis_url: RedisUrl
    amqp_url: AmqpUrl
    ticket_keys: Keys
    code_keys: Keys
    audit_days: int = Field(default=190, ge=30)
    operator_token: SecretStr | None = Field(default=None, min_length=32)
    inbox_url: str | None = None
    reveal_codes: bool = False
    master_code: str | None = Field(default=None, pattern="^[0-9]{3,6}$")

    @property
    def inbox_address(self) -> str:
        """The address of the API process, which holds the development inbox."""
        return (self.inbox_url or f"http://127.0.0.1:{self.sms_port}").rstrip("/")

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
    def _spending_is_decided_in_production(self) -> Self:
        if not self.is_development and not self.sms_config.says_what_may_be_spent:
            raise ValueError(
                f"SMS_CONFIG_FILE: {self.sms_config_file}: nothing limits what is spent: add [spending] and budgets, "
                'or write spending = "none"'
            )
        return self

    @model_validator(mode="after")
    def _require_own_operator_token(self) -> Self:
        if self.operator_token is not None and self.operator_token == self.service_token:
            raise ValueError("OPERATOR_TOKEN is the same as SERVICE_TOKEN: generate a separate one")
        return self
