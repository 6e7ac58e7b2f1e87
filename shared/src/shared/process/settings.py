"""Settings: one frozen model for each process, read once from the environment. A wrong value stops the start.

A field whose type is ``SecretStr`` (``HexKey``, ``Keys``, ``Tokens``) is a secret: it must be set in production, and
has a well-known value in development that production refuses.
"""

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Self, TypeVar, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from shared import networks
from shared.keys import KeyRing, active_tokens, development_secret
from shared.process.environment.misspelled import misspelled
from shared.process.environment.plain_errors import plain_text
from shared.process.environment.secret_files import SUFFIX, SecretFileError, values_of
from shared.process.environment.secret_strength import weaknesses
from shared.process.environment.server_urls import check_amqp_url, check_postgres_url, check_redis_url


class Environment(StrEnum):
    """Where a process runs. The default is production, which is the strict one."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class OnOff(StrEnum):
    ON = "on"
    OFF = "off"


MIN_OPERATOR_TOKEN = 32
"""Characters of a token that a person or their tool presents, which need not be hexadecimal."""
MIN_WEBHOOK_SECRET = 32
"""Characters of a secret that signs webhooks: the 24 bytes that Standard Webhooks asks for are as many in base64."""


def _is_hex_key(secret: SecretStr) -> SecretStr:
    try:
        raw = bytes.fromhex(secret.get_secret_value())
    except ValueError:
        raise ValueError("expected hex digits") from None
    if len(raw) < 32:
        raise ValueError("needs at least 64 hex digits (32 bytes)")
    return secret


def _are_hex_tokens(secret: SecretStr) -> SecretStr:
    for token in active_tokens(secret.get_secret_value()):
        _is_hex_key(SecretStr(token))
    return secret


def _are_operator_tokens(secret: SecretStr) -> SecretStr:
    if any(len(token) < MIN_OPERATOR_TOKEN for token in active_tokens(secret.get_secret_value())):
        raise ValueError(f"a token needs at least {MIN_OPERATOR_TOKEN} characters")
    return secret


def _are_webhook_secrets(secret: SecretStr) -> SecretStr:
    if any(len(each) < MIN_WEBHOOK_SECRET for each in active_tokens(secret.get_secret_value())):
        raise ValueError(f"a secret needs at least {MIN_WEBHOOK_SECRET} characters")
    return secret


def _is_key_ring(secret: SecretStr) -> SecretStr:
    KeyRing.parse(secret.get_secret_value())
    return secret


def _http_parts(url: str, *schemes: str) -> SplitResult:
    """The parts of a URL with one of ``schemes`` and one host. Raises ``ValueError``."""
    expected = f"expected {schemes[0]}://host:port"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its text quotes the URL
        raise ValueError(expected) from None
    if parts.scheme not in schemes or not parts.hostname or "," in parts.netloc:
        raise ValueError(expected)
    return parts


def _is_service_url(url: str) -> str:
    parts = _http_parts(url, "http")
    if parts.path not in {"", "/"} or parts.query:
        raise ValueError("expected http://host:port")
    return url.rstrip("/")


def _is_secure_url(url: str) -> str:
    parts = _http_parts(url, "https", "http")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
        raise ValueError("expected https://: plain http is for this machine only")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("expected a URL without a password and without a fragment")
    return url


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_collector_url(url: str) -> str:
    _http_parts(url, "http", "https")
    return url


PostgresUrl = Annotated[str, Field(repr=False), AfterValidator(check_postgres_url)]
RedisUrl = Annotated[str, Field(repr=False), AfterValidator(check_redis_url)]
AmqpUrl = Annotated[str, Field(repr=False), AfterValidator(check_amqp_url)]
ServiceUrl = Annotated[str, AfterValidator(_is_service_url)]
"""The address of one of our own services: plain HTTP on a private network, without a path."""

CollectorUrl = Annotated[str, AfterValidator(_is_collector_url)]
"""The address of a collector of OpenTelemetry: OTLP over HTTP."""

SecureUrl = Annotated[str, AfterValidator(_is_secure_url)]
"""The address of a server that is not ours: HTTPS, or plain HTTP on this machine."""

HexKey = Annotated[SecretStr, AfterValidator(_is_hex_key)]
_KEY_RING = AfterValidator(_is_key_ring)
Keys = Annotated[SecretStr, _KEY_RING]
Tokens = Annotated[SecretStr, AfterValidator(_are_hex_tokens)]
"""What a process presents to another one, or the two that are accepted while it is replaced (``active_tokens``)."""

OperatorTokens = Annotated[SecretStr, AfterValidator(_are_operator_tokens)]
WebhookSecrets = Annotated[SecretStr, AfterValidator(_are_webhook_secrets)]
"""What signs webhooks (``shared.webhooks.signature``), or two of them while one is replaced."""
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
    otel_exporter_otlp_endpoint: CollectorUrl | None = None
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read each field from its own variable; an empty one counts as unset.

        The variable of a secret, or of a server's URL, may be replaced by one that names a file (``value_of``). Raises
        ``ValidationError`` and ``SecretFileError``.
        """
        from_files = values_of(cls.file_variables(), environ)
        found = {name: from_files.get(name.upper()) or environ.get(name.upper()) for name in cls.model_fields}
        return cls.model_validate({name: value for name, value in found.items() if value})

    @classmethod
    def file_variables(cls) -> list[str]:
        """The variables whose value may be in a file: secrets, required or not, and URLs of servers."""
        secrets = [name for name, field in cls.model_fields.items() if SecretStr in _types(field.annotation)]
        return [name.upper() for name in (*secrets, *cls.server_urls())]

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

    @classmethod
    def server_urls(cls) -> list[str]:
        """The fields that hold the URL of a server, with its password."""
        return [name for name, field in cls.model_fields.items() if field.annotation is str and not field.repr]

    @model_validator(mode="after")
    def _refuse_weak_secrets_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION:
            values = {name.upper(): getattr(self, name) for name in type(self).model_fields}
            secrets = {name: value.get_secret_value() for name, value in values.items() if isinstance(value, SecretStr)}
            urls = {name.upper(): getattr(self, name) for name in type(self).server_urls()}
            if lines := weaknesses(secrets, urls):
                raise ValueError("\n".join(lines))
        return self


class CallerLimitSettings(Settings):
    """Whether requests are limited by where they come from. Production always limits them."""

    caller_limits: OnOff = OnOff.ON

    @model_validator(mode="after")
    def _limits_hold_in_production(self) -> Self:
        if self.environment is Environment.PRODUCTION and not self.limits_callers:
            raise ValueError("CALLER_LIMITS=off is a switch for development: unset it in production")
        return self

    @property
    def limits_callers(self) -> bool:
        """Whether requests are limited by where they come from."""
        return self.caller_limits is OnOff.ON


S = TypeVar("S", bound=Settings)


def load(model: type[S], service: str) -> S:
    """Read the settings from the environment. A wrong one ends the process with one line that names its variable.

    A variable that is nearly a setting is named too, on stderr: it has no effect.
    """
    settings = {field.upper() for field in model.model_fields} | {name + SUFFIX for name in model.file_variables()}
    for name, setting in misspelled(os.environ, frozenset(settings)):
        sys.stderr.write(f"{service}: {name} is no setting: did you mean {setting}?\n")
    try:
        return model.from_env()
    except SecretFileError as error:
        lines = str(error).splitlines()
    except ValidationError as error:
        lines = [line for problem in error.errors(include_input=False, include_url=False) for line in _lines(problem)]
    sys.stderr.write("".join(f"{service} cannot start: {line}\n" for line in lines))
    raise SystemExit(2) from None


def _lines(problem: Any) -> list[str]:
    """One entry of ``ValidationError.errors()`` in plain words, with the names of settings."""
    name = ".".join(str(part) for part in problem["loc"]).upper()
    text = plain_text(problem)
    if problem["type"] == "missing":
        return [f"{name} is missing"]
    return [f"{name}: {text}"] if name else text.splitlines()


def _types(annotation: Any) -> list[Any]:
    """The types of a field, one or the members of a union, without what they are annotated with."""
    return [getattr(each, "__origin__", each) for each in get_args(annotation) or (annotation,)]


def _missing(names: list[str]) -> str:
    """``A is missing``, or ``A, B and C are missing``."""
    *others, last = [name.upper() for name in names]
    return f"{', '.join(others)} and {last} are missing" if others else f"{last} is missing"
