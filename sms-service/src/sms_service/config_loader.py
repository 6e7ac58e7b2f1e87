"""Reads the file named by ``SMS_CONFIG_FILE``: senders, routes, texts, budgets, test numbers. Errors name the line."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError

from shared.phone import E164
from shared.process.environment.plain_errors import plain_text
from sms_service.config_file.addresses import HttpUrl
from sms_service.config_file.fields import ENVIRON, UNKNOWN_KEY, AtLeastOne, ConfigTable, FromEnv, Prefix
from sms_service.config_file.toml_lines import Lines, deepest, line_of, longest
from sms_service.delivery.routing import Route
from sms_service.messages.config import AutofillPart, MessageTables, SignaturePart, TextPart
from sms_service.senders.config import InboxConfig, SenderConfig
from sms_service.spending.config import BudgetPart, SpendingPart, plan_of, wrong_money
from sms_service.spending.plan import Plan
from sms_service.verification.test_numbers import TestNumber, TestNumbers

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Loc = tuple[str | int, ...]


def _six_digits(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not (len(value) == 6 and value.isascii() and value.isdigit()):
        raise ValueError("the variable must hold six digits")
    return secret


def _day(value: object) -> object:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("write a date: 2099-12-31")


def _none_is_a_word(value: object) -> object:
    if value == "none":
        return None
    if isinstance(value, Mapping):
        return value
    raise ValueError('write a table [spending], or spending = "none" to limit nothing')


class RoutePart(ConfigTable):
    """The senders for numbers with a prefix, in the order in which they are tried."""

    prefix: Prefix
    senders: tuple[Name, ...] = Field(min_length=1)
    weights: tuple[AtLeastOne, ...] = ()


class TestNumberPart(ConfigTable):
    """A number with a fixed code and no messages, up to and including the day ``until`` (UTC)."""

    number: str = Field(pattern=r"^\+[1-9][0-9]{6,14}$", repr=False)
    code: Annotated[FromEnv, AfterValidator(_six_digits)] = Field(alias="code_env")
    until: Annotated[date, BeforeValidator(_day)]


class SmsConfig(ConfigTable):
    """The whole file. ``public_url`` is the gateway's address, where providers post receipts."""

    public_url: HttpUrl | None = None
    senders: dict[Name, Annotated[SenderConfig, Field(discriminator="type")]] = Field(default_factory=dict)
    routes: tuple[RoutePart, ...] = ()
    test_numbers: tuple[TestNumberPart, ...] = ()
    texts: tuple[TextPart, ...] = Field(default=(), max_length=100)
    signatures: tuple[SignaturePart, ...] = Field(default=(), max_length=20)
    autofill: tuple[AutofillPart, ...] = Field(default=(), max_length=20)
    spending: Annotated[SpendingPart | None, BeforeValidator(_none_is_a_word)] = None
    budgets: tuple[BudgetPart, ...] = Field(default=(), max_length=100)

    @property
    def callback_url(self) -> str | None:
        """Where providers post receipts; a slash and the sender's name follow."""
        return f"{self.public_url.rstrip('/')}/hooks/sms" if self.public_url else None

    @property
    def ordered_routes(self) -> list[Route]:
        """The routes, in the order of the file."""
        return [Route(part.prefix, part.senders, part.weights) for part in self.routes]

    @property
    def message_tables(self) -> MessageTables:
        """The tables about texts."""
        return MessageTables(self.texts, self.signatures, self.autofill)

    @property
    def says_what_may_be_spent(self) -> bool:
        """Whether the file has ``[spending]``, or says ``spending = "none"``. Production has to."""
        return "spending" in self.model_fields_set

    @property
    def plan(self) -> Plan | None:
        """The spending plan; None if the file has no ``[spending]``."""
        return plan_of(self.spending, self.budgets, {name: sender.prices for name, sender in self.senders.items()})

    @property
    def test_number_lookup(self) -> TestNumbers:
        """The test numbers, by number."""
        return TestNumbers(
            TestNumber(E164(part.number), part.code.get_secret_value(), part.until) for part in self.test_numbers
        )


class InvalidConfigError(ValueError):
    """The file cannot be used. The text names the file, the line and the error, and never repeats a value."""


INBOX_ONLY = SmsConfig(
    senders={"inbox": InboxConfig(type="inbox")}, routes=(RoutePart(prefix="+", senders=("inbox",)),)
)
"""The settings for development without a file: all messages go to the SMS inbox."""


def read(file: Path, environ: Mapping[str, str], *, inbox_allowed: bool) -> SmsConfig:
    """Read a file. Raises ``InvalidConfigError`` for the first error in it."""
    text = _text(file)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfigError(f"{file}: {_toml_error(error, text)}") from None
    except RecursionError:
        raise InvalidConfigError(f"{file}: line {deepest(text)}: nested too deeply") from None
    except ValueError:  # tomllib passes digits to int(), which refuses too many
        raise InvalidConfigError(f"{file}: line {longest(text)}: a number has too many digits") from None
    lines = Lines(text)
    try:
        config = SmsConfig.model_validate(data, context={ENVIRON: environ})
    except ValidationError as error:
        loc, reason = _first(error)
        raise InvalidConfigError(_located(file, lines, loc, reason)) from None
    for loc, reason in _contradictions(config, inbox_allowed=inbox_allowed):
        raise InvalidConfigError(_located(file, lines, loc, reason))
    return config


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InvalidConfigError(f"{file}: line {line}: is not UTF-8") from None
    except OSError as error:
        reason = _UNREADABLE.get(type(error), type(error).__name__)
        raise InvalidConfigError(f"{file}: cannot be read: {reason}") from None


_UNREADABLE: dict[type[OSError], str] = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a directory",
    NotADirectoryError: "there is no such file",
    PermissionError: "this process has no permission to read it",
}


def _toml_error(error: tomllib.TOMLDecodeError, text: str) -> str:
    """The parser's message, with the line in front as in all other errors."""
    reason, _, where = str(error).partition(" (at ")
    position = re.fullmatch(r"line ([0-9]+), column ([0-9]+)\)", where)
    if position is None:  # at the end of the document
        return f"line {line_of(text, len(text.rstrip()))}: {reason} at the end of the file"
    return f"line {position[1]}: {reason} (column {position[2]})"


def _first(error: ValidationError) -> tuple[Loc, str]:
    """The first error, where unknown keys come before all others."""
    problems: list[Any] = error.errors(include_input=False, include_url=False)
    problem = min(problems, key=lambda each: each["type"] != UNKNOWN_KEY)
    loc: Loc = problem["loc"]
    if loc[0:1] == ("senders",) and len(loc) > 2:  # the third is the type of the sender, which is no key of the file
        loc = loc[:2] + loc[3:]
    if problem["type"] == UNKNOWN_KEY:
        loc += (problem["ctx"]["key"],)
    elif problem["type"] == "union_tag_invalid":
        loc += ("type",)
    return tuple(part for part in loc if part != "[key]"), plain_text(problem)


def _located(file: Path, lines: Lines, loc: Loc, reason: str) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")
    return f"{file}: line {lines.of(loc)}: {where}: {reason}"


def _contradictions(config: SmsConfig, *, inbox_allowed: bool) -> Iterator[tuple[Loc, str]]:
    """Entries that are valid alone but not together, or not in production."""
    if not config.routes:
        yield ("routes",), "there is no route, so no number could get a message"
    for name, sender in config.senders.items():
        if sender.type == "inbox" and not inbox_allowed:
            yield ("senders", name), "an inbox is for development: it reaches no phone"
        if sender.type == "twilio" and (sender.from_number is None) == (sender.messaging_service_sid is None):
            yield ("senders", name), "needs either from_number or messaging_service_sid"
        if sender.type == "aws" and (sender.access_key_id is None) != (sender.secret_access_key is None):
            yield ("senders", name), "needs both of access_key_id_env and secret_access_key_env, or neither"
    yield from _route_errors(config)
    yield from config.message_tables.errors()
    yield from wrong_money(config.spending, config.budgets, config.senders, config.routes)
    yield from _repeated("test_numbers", [part.number for part in config.test_numbers], "number")


def _route_errors(config: SmsConfig) -> Iterator[tuple[Loc, str]]:
    for position, route in enumerate(config.routes):
        for name in route.senders:
            if name not in config.senders:
                yield ("routes", position, "senders"), f'there is no sender "{name}"'
        if len(set(route.senders)) < len(route.senders):
            yield ("routes", position, "senders"), "names a sender twice"
        if route.weights and len(route.weights) != len(route.senders):
            yield ("routes", position, "weights"), "needs one weight for each sender"
    yield from _repeated("routes", [route.prefix for route in config.routes], "prefix")


def _repeated(table: str, values: list[str], key: str) -> Iterator[tuple[Loc, str]]:
    for position, value in enumerate(values):
        if value in values[:position]:
            yield (table, position, key), "appears twice"
