"""Settings: one frozen model for each process, read once from the environment. A wrong value stops the start.

A field whose type is ``SecretStr`` (``HexKey``, ``Keys``) is a secret: it must be set in production, and has a
well-known value in development that production refuses.
"""

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from shared import networks
from shared.keys import KeyRing, development_secret, holds_development_secret
from shared.process.misspelled import misspelled
from shared.process.plain_errors import plain_text


class Environment(StrEnum):
    """Where a process runs. The default is production, which is the strict one."""

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


_POSTGRES = ("postgresql", "postgres")


def _has_one_host(parts: SplitResult, scheme: str) -> None:
    """Raises ``ValueError``. Only PostgreSQL's driver can choose among several hosts."""
    if "," in parts.netloc.rpartition("@")[2]:
        raise ValueError(f"expected one host, {scheme}://host:port: use a name or an address that moves")
    try:
        _ = parts.port
    except ValueError:  # its text quotes the URL
        raise ValueError(f"expected {scheme}://host:port") from None


def _address_of(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        parts = urlsplit(url)
        known = parts.scheme in schemes and (parts.hostname or "host=" in parts.query or parts.scheme == "unix")
        if not known or (schemes == ("http",) and (parts.path not in {"", "/"} or parts.query)):
            raise ValueError(f"expected {schemes[0]}://host:port")
        if schemes != _POSTGRES:
            _has_one_host(parts, schemes[0])
        return url.rstrip("/") if schemes == ("http",) else url

    return AfterValidator(check)


PostgresUrl = Annotated[str, Field(repr=False), _address_of(*_POSTGRES)]
RedisUrl = Annotated[str, Field(repr=False), _address_of("redis", "rediss", "unix")]
AmqpUrl = Annotated[str, Field(repr=False), _address_of("amqp", "amqps")]
ServiceUrl = Annotated[str, _address_of("http")]
"""The address of one of our own services: plain HTTP on a private network, without a path."""

HexKey = Annotated[SecretStr, AfterValidator(_is_hex_key)]
_KEY_RING = AfterValidator(_is_key_ring)
Keys = Annotated[SecretStr, _KEY_RING]
Networks = networks.Networks
Words = tuple[str, ...]
MAX_COUNT = 1_000_000
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
"""How often something may happen: at least once, and a number that every store can count to."""


def split_words(value: Any) -> Any:
    """Split ``"86, 852"``: a ``mode="before"`` validator for a ``Words`` field."""
    return tuple(filter(None, (word.strip() for word in value.split(",")))) if isinstance(value, str) else value


def split_networks(value: Any) -> Any:
    """Split ``"10.0.0.0/8,::1"``: a ``mode="before"`` validator for a ``Networks`` field."""
    return tuple(ip_network(word) for word in split_words(value)) if isinstance(value, str) else value


class Settings(BaseModel):
    """What every process reads. A variable is the field's name in capitals."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True)

    environment: Environment = Environment.PRODUCTION
    bind_address: str = "127.0.0.1"
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    withdraw_seconds: float = Field(default=0.5, ge=0, le=60)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read each field from its own variable; an empty one counts as unset. Raises ``ValidationError``."""
        names = {name.upper(): name for name in cls.model_fields}
        return cls.model_validate(
            {name: environ[variable] for variable, name in names.items() if environ.get(variable)}
        )

    @property
    def is_production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @model_validator(mode="before")
    @classmethod
    def _fill_secrets_in_development(cls, values: Any) -> Any:
        """Give each missing secret its well-known value in development. In production all are one error."""
        if not isinstance(values, dict):
            return values
        environment = values.get("environment") or Environment.PRODUCTION
        if environment not in tuple(Environment):
            raise ValueError(f"ENVIRONMENT is none of {', '.join(Environment)}")
        missing = [name for name in cls.secret_names() if not values.get(name)]
        if missing and environment != Environment.DEVELOPMENT:
            raise ValueError(f"{_missing(missing)}: a secret has no default outside development")
        ring = {name: "1:" if _KEY_RING in cls.model_fields[name].metadata else "" for name in missing}
        return values | {name: ring[name] + development_secret(name) for name in missing}

    @classmethod
    def secret_names(cls) -> list[str]:
        """The fields that hold a required secret."""
        return [name for name, field in cls.model_fields.items() if field.annotation is SecretStr]

    @model_validator(mode="after")
    def _refuse_development_secrets_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION:
            for name in type(self).model_fields:
                value = getattr(self, name)
                if isinstance(value, SecretStr) and holds_development_secret(value.get_secret_value()):
                    raise ValueError(f"{name.upper()} holds a secret of development in production")
        return self


S = TypeVar("S", bound=Settings)


def load(model: type[S], service: str) -> S:
    """Read the settings from the environment. A wrong one ends the process with one line that names its variable.

    A variable that is nearly a setting is named too, on stderr: it has no effect.
    """
    for name, setting in misspelled(os.environ, frozenset(field.upper() for field in model.model_fields)):
        sys.stderr.write(f"{service}: {name} is no setting: did you mean {setting}?\n")
    try:
        return model.from_env()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in problem["loc"]).upper()
            text = plain_text(problem)
            missing = problem["type"] == "missing"
            line = f"{name} is missing" if missing else f"{name}: {text}" if name else text
            sys.stderr.write(f"{service} cannot start: {line}\n")
        raise SystemExit(2) from None


def _missing(names: list[str]) -> str:
    """``A is missing``, or ``A, B and C are missing``."""
    *others, last = [name.upper() for name in names]
    return f"{', '.join(others)} and {last} are missing" if others else f"{last} is missing"
