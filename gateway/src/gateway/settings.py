"""The gateway's settings."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, SecretStr, field_validator, model_validator

from gateway.dialect_registry import choose, installed_dialects
from gateway.flows.disclosure import AccountDisclosure
from gateway.http.app_keys import parse_app_keys
from gateway.http.session_tokens import token_cookies
from gateway.http.web_origins import parse_origin
from gateway.named_operators import KEY, NamedOperator, parse_operators
from shared.process.settings import (
    Environment,
    Keys,
    Networks,
    OnOff,
    OperatorTokens,
    ServiceUrl,
    Settings,
    Tokens,
    Words,
    split_networks,
    split_words,
)


class GatewaySettings(Settings):
    """The environment of the gateway.

    ``TRUSTED_PROXIES`` are the networks whose ``X-Forwarded-For`` is accepted; ``none`` says that there is no proxy.
    Production has to say one or the other. ``CORS_ORIGINS`` are the origins of web pages that may call the contracts.
    ``SESSION_COOKIES`` are names of cookies in which an earlier backend left its tokens, read beside ``session``.
    ``APP_KEYS`` are the digests of keys for apps' own servers (``python -m gateway app-key``).
    ``ACCOUNT_DISCLOSURE`` says when a caller learns whether a number has an account: as the contracts write, or only
    after the right code. ``SEALED_NUMBER_KEYS`` seal the numbers that clients carry from one call to the next, for ten
    minutes. ``PAGES`` are the forms under ``/pages``; by default they are served in development only.
    ``REFUSE_COMMON_PASSWORDS`` is about new passwords only.
    """

    gateway_port: int = Field(default=8080, ge=0, le=65535)
    gateway_monitoring_port: int = Field(default=9080, ge=0, le=65535)
    auth_url: ServiceUrl = "http://127.0.0.1:8081"
    sms_url: ServiceUrl = "http://127.0.0.1:8082"
    contacts_url: ServiceUrl = "http://127.0.0.1:8083"
    gateway_to_auth_token: Tokens
    gateway_to_sms_token: Tokens
    gateway_to_contacts_token: Tokens
    sealed_number_keys: Keys
    served_calling_codes: Words = ("86",)
    account_disclosure: AccountDisclosure = AccountDisclosure.CONTRACT
    dialects: Words = ()
    trusted_proxies: Networks | None = None
    cors_origins: Words = ()
    session_cookies: Words = ()
    app_keys: str = ""
    pages: OnOff | None = None
    refuse_common_passwords: OnOff = OnOff.ON

    _words = field_validator("served_calling_codes", "dialects", "cors_origins", "session_cookies", mode="before")(
        split_words
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        if value == "none":
            return ()
        return split_networks(value) or None

    @model_validator(mode="after")
    def _proxies_are_decided_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION and self.trusted_proxies is None:
            raise ValueError("TRUSTED_PROXIES is missing: set the networks of the proxies in front, or none")
        return self

    @field_validator("dialects")
    @classmethod
    def _known_dialects(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        choose(installed_dialects(), names)
        return names

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(parse_origin, origins))

    @field_validator("session_cookies")
    @classmethod
    def _cookies(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        token_cookies(names)
        return names

    @field_validator("app_keys")
    @classmethod
    def _app_keys(cls, text: str) -> str:
        parse_app_keys(text)
        return text

    @field_validator("served_calling_codes")
    @classmethod
    def _calling_codes(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        if not codes or any(not code.isascii() or not code.isdigit() or len(code) > 3 for code in codes):
            raise ValueError("expected calling codes such as 86,852")
        return codes

    @property
    def tells_accounts(self) -> bool:
        """Whether the first step of a contract tells if a number has an account."""
        return self.account_disclosure is AccountDisclosure.CONTRACT

    @property
    def serves_pages(self) -> bool:
        """Whether the forms under ``/pages`` are served."""
        return self.pages is OnOff.ON or (self.pages is None and self.environment is Environment.DEVELOPMENT)


class OperatorApiSettings(Settings):
    """The environment of the operator API. ``OPERATORS_FILE`` has the named operators (docs/operations/operator.md)."""

    operator_port: int = Field(default=8085, ge=0, le=65535)
    operator_monitoring_port: int = Field(default=9085, ge=0, le=65535)
    auth_url: ServiceUrl = "http://127.0.0.1:8081"
    sms_url: ServiceUrl = "http://127.0.0.1:8082"
    contacts_url: ServiceUrl = "http://127.0.0.1:8083"
    operator_to_auth_token: OperatorTokens
    operator_to_sms_token: OperatorTokens
    operator_to_contacts_token: OperatorTokens
    operators_file: Path
    _operators: tuple[NamedOperator, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _read_operators(self) -> Self:
        try:
            self._operators = parse_operators(self.operators_file.read_text())
        except OSError as error:
            raise ValueError(f"OPERATORS_FILE: {error.strerror}: {self.operators_file}") from None
        except ValueError as error:
            raise ValueError(f"OPERATORS_FILE: {error}") from None
        return self

    @property
    def operators(self) -> tuple[NamedOperator, ...]:
        """The operators that the file names."""
        return self._operators


class OperateSettings(Settings):
    """For ``operate``: where the operator API is, and the operator's own key."""

    operator_url: ServiceUrl = "http://127.0.0.1:8085"
    operator_key: SecretStr | None = None

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if self.operator_key is None:
            raise ValueError(
                "OPERATOR_KEY is missing: set it to the key that python -m gateway operator-key printed, or "
                "OPERATOR_KEY_FILE to a file that holds it"
            )
        return self

    @field_validator("operator_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not KEY.fullmatch(key.get_secret_value()):
            raise ValueError(
                "this is not a key as python -m gateway operator-key prints it: is there a space, a line end or a "
                "quote too many?"
            )
        return key

    @property
    def key(self) -> str:
        """The operator's own key."""
        return self.operator_key.get_secret_value() if self.operator_key else ""
