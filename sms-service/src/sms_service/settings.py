"""The settings of sms-service's processes and commands, each with only what it needs."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator

from shared.internal_api.principals import Principal
from shared.keys import development_secret
from shared.process.settings import (
    AmqpUrl,
    CallerLimitSettings,
    Count,
    Environment,
    HexKey,
    Keys,
    Networks,
    OperatorTokens,
    PostgresUrl,
    RedisUrl,
    ServiceUrl,
    Settings,
    Tokens,
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
    phone_seal_keys: Keys
    sms_to_auth_token: Tokens
    auth_url: ServiceUrl = "http://127.0.0.1:8081"


class AuditVerifySettings(DatabaseSettings):
    """For ``audit verify``: the keys that sealed the rows."""

    audit_keys: Keys


class AuditShowSettings(DatabaseSettings):
    """For ``audit show``: the key of the references that rows have."""

    phone_key: HexKey


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


class CallerSettings(CallerLimitSettings):
    """The limits on callers (docs/operations/limits.md)."""

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


class PolicySettings(ConfigSettings, CallerSettings):
    """For ``policy``: it has no key at all."""


class InboxSettings(ConfigSettings):
    """The token with which the worker puts messages into the development inbox."""

    worker_to_inbox_token: Tokens | None = None

    @property
    def inbox_tokens(self) -> SecretStr:
        """The token of the inbox. Production has no inbox, so it is the one secret with a default."""
        return self.worker_to_inbox_token or SecretStr(development_secret("worker_to_inbox_token"))


class MessageSettings(SpendingSettings, InboxSettings):
    """What the API and the delivery worker both need."""

    amqp_url: AmqpUrl
    code_keys: Keys
    phone_seal_keys: Keys

    @model_validator(mode="after")
    def _spending_is_decided_in_production(self) -> Self:
        if not self.is_development and not self.sms_config.says_what_may_be_spent:
            raise ValueError(
                f"SMS_CONFIG_FILE: {self.sms_config_file}: nothing limits what is spent: add [spending] and budgets, "
                'or write spending = "none"'
            )
        return self


class SmsSettings(ExplainSettings, MessageSettings, CallerSettings):
    """For the API."""

    sms_port: int = Field(default=8082, ge=1, le=65535)
    sms_monitoring_port: int = Field(default=9082, ge=1, le=65535)
    redis_url: RedisUrl
    ticket_keys: Keys
    gateway_to_sms_token: Tokens
    operator_to_sms_token: OperatorTokens | None = None
    reveal_codes: bool = False
    master_code: str | None = Field(default=None, pattern="^[0-9]{3,6}$")

    @property
    def principal_tokens(self) -> dict[Principal, SecretStr | None]:
        """What each principal presents that may call the API."""
        return {
            Principal.GATEWAY: self.gateway_to_sms_token,
            Principal.OPERATOR: self.operator_to_sms_token,
            Principal.SMS_WORKER: self.inbox_tokens if self.is_development else None,
        }

    @model_validator(mode="after")
    def _refuse_development_switches_in_production(self) -> Self:
        if self.is_development:
            return self
        for name, switch in (("REVEAL_CODES", self.reveal_codes), ("MASTER_CODE", self.master_code)):
            if switch:
                raise ValueError(f"{name} is a switch for development: unset it in production")
        return self


class WorkerSettings(MessageSettings):
    """For the delivery worker: it has no key of tickets, and no token that opens another service."""

    sms_worker_monitoring_port: int = Field(default=9084, ge=1, le=65535)
    audit_keys: Keys
    audit_days: int = Field(default=190, ge=30)
    inbox_url: ServiceUrl = "http://127.0.0.1:8082"
