"""The gateway's settings."""

from pydantic import Field, field_validator

from gateway.dialect_registry import choose, installed_dialects
from shared.process.settings import (
    Environment,
    HexKey,
    Keys,
    Networks,
    OnOff,
    ServiceUrl,
    Settings,
    Words,
    split_networks,
    split_words,
)


class GatewaySettings(Settings):
    """The environment of the gateway.

    ``TRUSTED_PROXIES`` are the networks whose ``X-Forwarded-For`` is accepted. ``SEALED_NUMBER_KEYS`` seal the numbers
    that clients carry from one call to the next, for ten minutes. ``PAGES`` are the forms under ``/pages``; by default
    they are served in development only.
    """

    gateway_port: int = Field(default=8080, ge=0, le=65535)
    auth_url: ServiceUrl = "http://127.0.0.1:8081"
    sms_url: ServiceUrl = "http://127.0.0.1:8082"
    contacts_url: ServiceUrl = "http://127.0.0.1:8083"
    service_token: HexKey
    sealed_number_keys: Keys
    served_calling_codes: Words = ("86",)
    dialects: Words = ()
    trusted_proxies: Networks = ()
    pages: OnOff | None = None

    _words = field_validator("served_calling_codes", "dialects", mode="before")(split_words)
    _networks = field_validator("trusted_proxies", mode="before")(split_networks)

    @field_validator("dialects")
    @classmethod
    def _known_dialects(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        choose(installed_dialects(), names)
        return names

    @field_validator("served_calling_codes")
    @classmethod
    def _calling_codes(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        if not codes or any(not code.isascii() or not code.isdigit() or len(code) > 3 for code in codes):
            raise ValueError("expected calling codes such as 86,852")
        return codes

    @property
    def serves_pages(self) -> bool:
        """Whether the forms under ``/pages`` are served."""
        return self.pages is OnOff.ON or (self.pages is None and self.environment is Environment.DEVELOPMENT)
