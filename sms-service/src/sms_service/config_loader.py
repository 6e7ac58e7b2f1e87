"""The file that ``SMS_CONFIG_FILE`` names: senders, routes and test numbers. A broken one names the line at fault."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError

from shared.phone import E164
from sms_service.config_file.addresses import HttpUrl
from sms_service.config_file.toml_lines import Lines, deepest, line_of, longest
from sms_service.delivery.routing import Route
from sms_service.messages.config import AutofillPart, SignaturePart, TextPart, TextTables
from sms_service.senders.config import ENVIRON, FromEnv, InboxConfig, Part, SenderConfig, Whole
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


def _day(given: object) -> object:
    if isinstance(given, date) and not isinstance(given, datetime):
        return given
    raise ValueError("write a date: 2099-12-31")


class RoutePart(Part):
    """The senders for numbers with a prefix, in the order in which they are asked."""

    prefix: str = Field(pattern=r"^\+[0-9]{0,15}$")
    senders: tuple[Name, ...] = Field(min_length=1)
    weights: tuple[Annotated[Whole, Field(ge=1)], ...] = ()


class TestNumberPart(Part):
    """A number that is never sent to and has a code of its own, through the day ``until`` (UTC)."""

    number: str = Field(pattern=r"^\+[1-9][0-9]{6,14}$", repr=False)
    code: Annotated[FromEnv, AfterValidator(_six_digits)] = Field(alias="code_env")
    until: Annotated[date, BeforeValidator(_day)]


class SmsConfig(Part):
    """The whole file. ``public_url`` is where providers reach the gateway, for their receipts."""

    public_url: HttpUrl | None = None
    senders: dict[Name, Annotated[SenderConfig, Field(discriminator="type")]] = Field(default_factory=dict)
    routes: tuple[RoutePart, ...] = ()
    test_numbers: tuple[TestNumberPart, ...] = ()
    texts: tuple[TextPart, ...] = Field(default=(), max_length=100)
    signatures: tuple[SignaturePart, ...] = Field(default=(), max_length=20)
    autofill: tuple[AutofillPart, ...] = Field(default=(), max_length=20)
    spending: SpendingPart | None = None
    budgets: tuple[BudgetPart, ...] = Field(default=(), max_length=100)

    @property
    def callbacks(self) -> str | None:
        """Where the gateway takes receipts, as providers see it; a sender's name follows."""
        return f"{self.public_url.rstrip('/')}/hooks/sms" if self.public_url else None

    @property
    def in_order(self) -> list[Route]:
        """The routes as the rules know them."""
        return [Route(part.prefix, part.senders, part.weights) for part in self.routes]

    @property
    def wording(self) -> TextTables:
        """What messages say, as far as the file has a say in it."""
        return TextTables(self.texts, self.signatures, self.autofill)

    @property
    def plan(self) -> Plan | None:
        """What may be spent, and what is done about prefixes; None where the file says nothing of it."""
        return plan_of(self.spending, self.budgets, {name: sender.prices for name, sender in self.senders.items()})

    @property
    def tests(self) -> TestNumbers:
        """The test numbers as the rules know them."""
        given = self.test_numbers
        return TestNumbers(TestNumber(E164(one.number), one.code.get_secret_value(), one.until) for one in given)


class InvalidConfigError(ValueError):
    """The file cannot be used. Its text names the file, the line and what is wrong; never a value."""


INBOX_ONLY = SmsConfig(
    senders={"inbox": InboxConfig(type="inbox")}, routes=(RoutePart(prefix="+", senders=("inbox",)),)
)
"""Development without a file: everything goes to the SMS inbox."""


def read(file: Path, environ: Mapping[str, str], *, inbox_allowed: bool) -> SmsConfig:
    """Read a file. Raises ``InvalidConfigError`` for the first thing that is wrong with it."""
    text = _text(file)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfigError(f"{file}: {_said(error, text)}") from None
    except RecursionError:
        raise InvalidConfigError(f"{file}: line {deepest(text)}: nests too deep") from None
    except ValueError:  # what the parser leaves to int()
        raise InvalidConfigError(f"{file}: line {longest(text)}: a number of too many digits") from None
    lines = Lines(text)
    try:
        routes = SmsConfig.model_validate(data, context={ENVIRON: environ})
    except ValidationError as error:
        loc, said = _first(error)
        raise InvalidConfigError(_at(file, lines, loc, said)) from None
    for loc, said in _contradictions(routes, inbox_allowed=inbox_allowed):
        raise InvalidConfigError(_at(file, lines, loc, said))
    return routes


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InvalidConfigError(f"{file}: line {line}: is not written in UTF-8") from None
    except OSError as error:
        why = _UNREADABLE.get(type(error), type(error).__name__)
        raise InvalidConfigError(f"{file}: cannot be read: {why}") from None


_UNREADABLE: dict[type[OSError], str] = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a directory",
    NotADirectoryError: "there is no such file",
    PermissionError: "this process is not allowed to",
}


def _said(error: tomllib.TOMLDecodeError, text: str) -> str:
    """The parser's words, with the line in front as everywhere else."""
    said, _, where = str(error).partition(" (at ")
    found = re.fullmatch(r"line ([0-9]+), column ([0-9]+)\)", where)
    if found is None:  # at the end of the document
        return f"line {line_of(text, len(text.rstrip()))}: {said} at the end of the file"
    return f"line {found[1]}: {said} (column {found[2]})"


def _first(error: ValidationError) -> tuple[Loc, str]:
    problem: Any = error.errors(include_input=False, include_url=False, include_context=False)[0]
    loc: Loc = problem["loc"]
    if loc[0] == "senders" and len(loc) > 2:  # the third is the kind of sender, which is no key of the file
        loc = loc[:2] + loc[3:]
    return tuple(part for part in loc if part != "[key]"), problem["msg"].removeprefix("Value error, ")


def _at(file: Path, lines: Lines, loc: Loc, said: str) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")
    return f"{file}: line {lines.of(loc)}: {where}: {said}"


def _contradictions(routes: SmsConfig, *, inbox_allowed: bool) -> Iterator[tuple[Loc, str]]:
    """Where the file disagrees with itself, or with being in production."""
    if not routes.routes:
        yield ("routes",), "there is no route: no number could be sent to"
    for name, sender in routes.senders.items():
        if sender.type == "inbox" and not inbox_allowed:
            yield ("senders", name), "an inbox is for development and reaches no telephone"
        if sender.type == "twilio" and (sender.from_number is None) == (sender.messaging_service_sid is None):
            yield ("senders", name), "needs one of from_number and messaging_service_sid"
        if sender.type == "aws" and (sender.access_key_id is None) != (sender.secret_access_key is None):
            yield ("senders", name), "needs both of access_key_id_env and secret_access_key_env, or neither"
    yield from _wrong_routes(routes)
    yield from routes.wording.wrong()
    yield from wrong_money(routes.spending, routes.budgets, routes.senders, routes.routes)
    yield from _repeated("test_numbers", [given.number for given in routes.test_numbers], "number")


def _wrong_routes(routes: SmsConfig) -> Iterator[tuple[Loc, str]]:
    for position, route in enumerate(routes.routes):
        for name in route.senders:
            if name not in routes.senders:
                yield ("routes", position, "senders"), f'there is no sender "{name}"'
        if len(set(route.senders)) < len(route.senders):
            yield ("routes", position, "senders"), "a sender is named twice"
        if route.weights and len(route.weights) != len(route.senders):
            yield ("routes", position, "weights"), "needs one weight for each sender"
    yield from _repeated("routes", [route.prefix for route in routes.routes], "prefix")


def _repeated(table: str, values: list[str], key: str) -> Iterator[tuple[Loc, str]]:
    for position, value in enumerate(values):
        if value in values[:position]:
            yield (table, position, key), "is given a second time"
