"""Settings: one frozen model per service, read once from the environment; a bad one stops the start."""

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from shared.keys import KeyRing, development_secret

_KNOWN_SECRETS = frozenset(
    development_secret(name)
    for name in (
        "service_token",
        "phone_key",
        "ticket_keys",
        "code_keys",
        "password_peppers",
        "jwt_keys",
        "sealed_number_keys",
    )
)


class Environment(StrEnum):
    """Where a process runs. Nothing set means production: safe by default."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class OnOff(StrEnum):
    ON = "on"
    OFF = "off"


def _is_hex_key(secret: SecretStr) -> SecretStr:
    try:
        raw = bytes.fromhex(secret.get_secret_value())
    except ValueError:
        raise ValueError("expected hex digits") from None
    if len(raw) < 32:
        raise ValueError("needs at least 64 hex digits (32 bytes)")
    return secret


def _is_key_ring(secret: SecretStr) -> SecretStr:
    KeyRing.parse(secret.get_secret_value())
    return secret


def _address_of(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        parts = urlsplit(url)
        known = parts.scheme in schemes and (parts.hostname or "host=" in parts.query)
        if not known or (schemes == ("http",) and (parts.path not in {"", "/"} or parts.query)):
            raise ValueError(f"expected {schemes[0]}://host:port")
        return url.rstrip("/") if schemes == ("http",) else url

    return AfterValidator(check)


PostgresUrl = Annotated[str, Field(repr=False), _address_of("postgresql", "postgres")]
RedisUrl = Annotated[str, Field(repr=False), _address_of("redis", "rediss", "unix")]
AmqpUrl = Annotated[str, Field(repr=False), _address_of("amqp", "amqps")]
ServiceUrl = Annotated[str, _address_of("http")]
"""Where one of our own services is: calls to it go over plain HTTP on a private network, without a path."""

HexKey = Annotated[SecretStr, AfterValidator(_is_hex_key)]
Keys = Annotated[SecretStr, AfterValidator(_is_key_ring)]
Networks = tuple[IPv4Network | IPv6Network, ...]
Words = tuple[str, ...]


def split_words(value: Any) -> Any:
    """``"86, 852"`` to its words, for a ``mode="before"`` validator of a ``Words`` field."""
    return tuple(filter(None, (word.strip() for word in value.split(",")))) if isinstance(value, str) else value


def split_networks(value: Any) -> Any:
    """``"10.0.0.0/8,::1"`` to its networks, for a ``mode="before"`` validator of a ``Networks`` field."""
    return tuple(ip_network(word) for word in split_words(value)) if isinstance(value, str) else value


class Settings(BaseModel):
    """What every process is told. Variables are the field names in capitals."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True)

    environment: Environment = Environment.PRODUCTION
    bind_address: str = "127.0.0.1"
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    reveal_codes: bool = False
    master_code: str | None = Field(default=None, pattern="^[0-9]{3,6}$")
    service_token: HexKey = Field(default=SecretStr(""), validate_default=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read them, each from its own variable. Raises pydantic's ``ValidationError``."""
        names = {name.upper(): name for name in cls.model_fields}
        return cls.model_validate({names[variable]: environ[variable] for variable in names if variable in environ})

    @model_validator(mode="before")
    @classmethod
    def _secrets_for_development(cls, given: Any) -> Any:
        """Fill the secrets left out in development; outside it each must be given."""
        if not isinstance(given, dict):
            return given
        development = given.get("environment") == Environment.DEVELOPMENT
        for name, field in cls.model_fields.items():
            if not _is_secret(field.annotation) or given.get(name):
                continue
            if not development:
                raise ValueError(f"{name.upper()} is missing: a secret has no default outside development")
            ring = any(entry is _RING_CHECK for entry in field.metadata)
            given[name] = ("1:" if ring else "") + development_secret(name)
        return given

    @model_validator(mode="after")
    def _no_development_switches_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION:
            for name in ("reveal_codes", "master_code"):
                if getattr(self, name):
                    raise ValueError(f"{name.upper()} is a switch for development: unset it in production")
        return self

    @model_validator(mode="after")
    def _no_known_secrets_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION:
            for name, field in type(self).model_fields.items():
                if not _is_secret(field.annotation):
                    continue
                given = getattr(self, name).get_secret_value().lower()
                if any(known in given for known in _KNOWN_SECRETS):
                    raise ValueError(f"{name.upper()} holds a secret of development in production")
        return self


_RING_CHECK = next(entry for entry in Keys.__metadata__ if isinstance(entry, AfterValidator))  # type: ignore[attr-defined]


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr


S = TypeVar("S", bound=Settings)


def load(model: type[S], service: str) -> S:
    """Read a service's settings from the environment, or leave with one clear line that names the variable."""
    try:
        return model.from_env()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            name = ".".join(str(part) for part in problem["loc"]).upper()
            text = problem["msg"].removeprefix("Value error, ")
            said = "is missing" if problem["type"] == "missing" else text
            line = f"{name}: {said}" if name and problem["type"] != "missing" else f"{name} {said}".strip()
            sys.stderr.write(f"{service} cannot start: {line}\n")
        raise SystemExit(2) from None
