"""The parameters of a call: from the query or the body, checked against the call's model, one value for each name."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_origin
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from gateway.http.body.errors import BodyError, BodyFault
from gateway.http.body.media_types import JSON
from gateway.http.request_body import SMALL_BODY_BYTES, Admit, parse_form, read_fields, read_fields_if_any
from shared.errors import ErrorCode, ServiceError

_PURPOSE_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
"""How browsers of today and of earlier say why they make a request."""
_EARLY = re.compile("prefetch|prerender|preview", re.IGNORECASE)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
"""How forms write booleans."""

Text = Annotated[str, StringConstraints(min_length=1)]
"""A required text. Whether it is a valid number, code or password is decided elsewhere."""

ClientName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,32}$")]
"""The name a client gives itself: 1 to 32 characters without control characters. Sessions store it."""

Entries = Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "string"}})]
"""The entries of an address book. Clients send texts; an entry of any type that is no number is skipped."""


UserId = Annotated[
    int,
    BeforeValidator(
        lambda value: int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,16}", value) else value,
        json_schema_input_type=int,
    ),
]
"""The id of a user, which may be a text of digits."""


NEVER_EMPTY = frozenset({"password"})
"""Texts that are refused when they are empty, where others count as absent: a form without one opens no account."""


class Parameters(BaseModel):
    """The parameters of one call, named as in its contract. Types are strict; unknown names are ignored.

    ``empty_is_absent`` says whether an optional text that is empty, and may not be, counts as absent.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)
    empty_is_absent: ClassVar[bool] = True


ParametersT = TypeVar("ParametersT", bound=Parameters)
OtherParametersT = TypeVar("OtherParametersT", bound=Parameters)


def id_in_path(request: web.Request) -> UUID:
    """The ``{id}`` of a path. Raises ``NOT_FOUND`` if it is not a UUID."""
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise ServiceError(ErrorCode.NOT_FOUND) from None


def refuse_prefetch(request: web.Request) -> None:
    """Refuse a GET that a browser makes by itself, before the user follows a link."""
    if request.method != "GET":
        return
    for name in _PURPOSE_HEADERS:
        if name in request.headers and _EARLY.search(request.headers[name]):
            raise ServiceError(ErrorCode.PARAMETER_INVALID)


@dataclass(frozen=True)
class Unchecked(Generic[ParametersT]):
    """Parameters of which no required one is missing. A call of a user who is logged in asks for the session next."""

    model: type[ParametersT]
    fields: Mapping[str, Any] = field(repr=False)
    _outcome: ParametersT | ServiceError = field(repr=False)

    def text(self, name: str) -> str | None:
        """A parameter that need not be valid yet, if it is a text that is not empty."""
        value = self.fields.get(name)
        return value if isinstance(value, str) and value else None

    def checked(self) -> ParametersT:
        """The parameters. Raises ``PARAMETER_INVALID`` with the name of the first invalid field, never its value."""
        if isinstance(self._outcome, ServiceError):
            raise self._outcome
        return self._outcome


async def read_parameters(
    request: web.Request,
    model: type[ParametersT],
    *,
    max_bytes: int = SMALL_BODY_BYTES,
    admit: Admit | None = None,
    also_query: bool = False,
) -> ParametersT:
    """Read the parameters of a call and check them. Raises ``PARAMETER_MISSING`` or ``PARAMETER_INVALID``."""
    unchecked = await read_unchecked(request, model, max_bytes=max_bytes, admit=admit, also_query=also_query)
    return unchecked.checked()


async def read_unchecked(
    request: web.Request,
    model: type[ParametersT],
    *,
    max_bytes: int = SMALL_BODY_BYTES,
    admit: Admit | None = None,
    also_query: bool = False,
) -> Unchecked[ParametersT]:
    """Read the parameters of a call: from the query of a GET, otherwise from a JSON or form body.

    ``admit`` decides whether a large body may be parsed. ``also_query`` reads the query of other methods too, for calls
    that GET makes as well. A parameter that is null is absent, and so is an optional one that is an empty text (see
    ``Parameters``). Raises ``PARAMETER_MISSING`` with the name of the first one that is missing, and
    ``PARAMETER_INVALID`` for a body that cannot be read.
    """
    if request.method == "GET":
        fields = parse_form(request.rel_url.raw_query_string)
    elif also_query:
        fields = await _from_query_and_body(request, max_bytes)
    else:
        fields = await read_fields(request, max_bytes, _named(model, list), admit)
    if request.content_type != JSON:
        fields = _with_flags(fields, _named(model, bool))
    return _unchecked(model, fields)


async def read_one_of(
    request: web.Request, first: type[ParametersT], second: type[OtherParametersT]
) -> ParametersT | OtherParametersT:
    """Read the body of a call that takes either of two models, and check it.

    Raises ``PARAMETER_MISSING`` or ``PARAMETER_INVALID``.
    """
    return (await read_unchecked_one_of(request, first, second)).checked()


async def read_unchecked_one_of(
    request: web.Request,
    first: type[ParametersT],
    second: type[OtherParametersT],
    *,
    may_be_empty: bool = False,
) -> Unchecked[ParametersT] | Unchecked[OtherParametersT]:
    """Read the body of a call that takes either of two models.

    It is the first model, unless the fields that only one model has speak for the second: more of them are given, and
    those of the first are not complete. An empty field does not count: some generators of clients make one class of
    both models, and its users leave empty what they do not need. ``may_be_empty`` takes no body for
    one without fields. Raises as ``read_unchecked`` does.
    """
    fields = await (read_fields_if_any if may_be_empty else read_fields)(request, SMALL_BODY_BYTES)
    of_first, of_second = _distinct_fields(first, second)
    given_of_first, given_of_second = (
        [name for name in names if fields.get(name) not in (None, "")] for names in (of_first, of_second)
    )
    is_second = given_of_first != of_first and len(given_of_second) > len(given_of_first)
    return _unchecked(second, fields) if is_second else _unchecked(first, fields)


def _unchecked(model: type[ParametersT], fields: dict[str, Any]) -> Unchecked[ParametersT]:
    fields = {name: value for name, value in fields.items() if value is not None}
    try:
        return Unchecked(model, fields, model.model_validate(fields))
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
    required = _required(model)
    empty = {str(each["loc"][0]) for each in errors if _is_empty_text(each)} - required - NEVER_EMPTY
    if empty and model.empty_is_absent:
        return _unchecked(model, {name: value for name, value in fields.items() if name not in empty})
    if missing := [each for each in errors if _is_missing(each) and each["loc"][0] in required]:
        raise _refusal(ErrorCode.PARAMETER_MISSING, missing[0], fields)
    return Unchecked(model, fields, _refusal(ErrorCode.PARAMETER_INVALID, errors[0], fields))


async def _from_query_and_body(request: web.Request, max_bytes: int) -> dict[str, Any]:
    fields = parse_form(request.rel_url.raw_query_string)
    body = await read_fields_if_any(request, max_bytes)
    if any(body[name] is not None for name in fields.keys() & body.keys()):
        raise ServiceError(ErrorCode.PARAMETER_INVALID)
    return body | fields


def _with_flags(fields: dict[str, Any], flags: Collection[str]) -> dict[str, Any]:
    """The fields of a form with booleans in place of their texts."""
    return fields | {name: _FLAGS.get(fields[name].lower(), fields[name]) for name in flags if name in fields}


def _is_missing(error: ErrorDetails) -> bool:
    return bool(error["loc"]) and (error["type"] == "missing" or error["input"] in (None, ""))


def _is_empty_text(error: ErrorDetails) -> bool:
    """Whether an empty text stands where a longer one is expected, not where another type is."""
    return bool(error["loc"]) and error["input"] == "" and not error["type"].endswith("_type")


def _refusal(code: ErrorCode, error: ErrorDetails, fields: Mapping[str, Any]) -> ServiceError:
    name = str(error["loc"][0]) if error["loc"] else None
    if next(iter(fields), "").lstrip().startswith(("{", "[")):
        return BodyError(BodyFault.JSON_AS_FORM, code, field=name)
    return ServiceError(code, field=name)


@cache
def _required(model: type[Parameters]) -> frozenset[str]:
    """The names of the required parameters."""
    return frozenset(each.alias or name for name, each in model.model_fields.items() if each.is_required())


@cache
def _distinct_fields(first: type[Parameters], second: type[Parameters]) -> tuple[list[str], list[str]]:
    """The fields that only the first model has, and those that only the second one has."""
    of_first = [name for name in first.model_fields if name not in second.model_fields]
    return of_first, [name for name in second.model_fields if name not in first.model_fields]


@cache
def _named(model: type[Parameters], wanted: type) -> frozenset[str]:
    """The names of the parameters that are lists, or booleans."""
    return frozenset(
        each.alias or name
        for name, each in model.model_fields.items()
        if wanted in {get_origin(kind) or kind for kind in (each.annotation, *get_args(each.annotation))}
    )
