"""The parameters of a call: from the query or the body, checked against the call's model, one value for each name."""

import re
from collections.abc import Collection
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, WithJsonSchema

from gateway.http.body.errors import BodyError, BodyFault
from gateway.http.body.media_types import JSON
from gateway.http.request_body import SMALL_BODY_BYTES, Admit, parse_form, read_fields
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


class Parameters(BaseModel):
    """The parameters of one call, named as in its contract. Types are strict; unknown names are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


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


async def read_parameters(
    request: web.Request,
    model: type[ParametersT],
    *,
    max_bytes: int = SMALL_BODY_BYTES,
    admit: Admit | None = None,
    also_query: bool = False,
) -> ParametersT:
    """Read the parameters of a call: from the query of a GET, otherwise from a JSON or form body.

    ``admit`` decides whether a large body may be parsed. ``also_query`` reads the query of other methods too, for calls
    that GET makes as well. A parameter that is null is absent. Raises ``PARAMETER_MISSING`` or ``PARAMETER_INVALID``
    with the name of the first invalid field, never its value.
    """
    if request.method == "GET":
        fields = parse_form(request.rel_url.raw_query_string)
    elif also_query:
        fields = await _from_query_and_body(request, max_bytes)
    else:
        fields = await read_fields(request, max_bytes, _named(model, list), admit)
    if request.content_type != JSON:
        fields = _with_flags(fields, _named(model, bool))
    return _parse(model, fields)


async def read_one_of(
    request: web.Request, first: type[ParametersT], second: type[OtherParametersT]
) -> ParametersT | OtherParametersT:
    """Read the body of a call that takes either of two models.

    It is the first model, unless the fields that only one model has speak for the second: more of them are given, and
    those of the first are not complete. An empty field does not count: some generators of clients make one class of
    both models, and its users leave empty what they do not need. Raises as ``read_parameters`` does.
    """
    fields = await read_fields(request, SMALL_BODY_BYTES, ())
    of_first, of_second = _distinct_fields(first, second)
    given_of_first, given_of_second = (
        [name for name in names if fields.get(name) not in (None, "")] for names in (of_first, of_second)
    )
    is_second = given_of_first != of_first and len(given_of_second) > len(given_of_first)
    return _parse(second if is_second else first, fields)


def _parse(model: type[ParametersT], fields: dict[str, Any]) -> ParametersT:
    try:
        return model.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        raise _refusal(error, fields) from None


async def _from_query_and_body(request: web.Request, max_bytes: int) -> dict[str, Any]:
    fields = parse_form(request.rel_url.raw_query_string)
    if not request.body_exists:
        return fields
    body = await read_fields(request, max_bytes, ())
    if any(body[name] is not None for name in fields.keys() & body.keys()):
        raise ServiceError(ErrorCode.PARAMETER_INVALID)
    return body | fields


def _with_flags(fields: dict[str, Any], flags: Collection[str]) -> dict[str, Any]:
    """The fields of a form with booleans in place of their texts."""
    return fields | {name: _FLAGS.get(fields[name].lower(), fields[name]) for name in flags if name in fields}


def _refusal(error: ValidationError, fields: dict[str, Any]) -> ServiceError:
    first = error.errors(include_url=False, include_context=False)[0]
    empty = first["type"] == "missing" or first["input"] is None or first["input"] == ""
    code = ErrorCode.PARAMETER_MISSING if empty else ErrorCode.PARAMETER_INVALID
    field = str(first["loc"][0]) if first["loc"] else None
    if next(iter(fields), "").lstrip().startswith(("{", "[")):
        return BodyError(BodyFault.JSON_AS_FORM, code, field=field)
    return ServiceError(code, field=field)


@cache
def _distinct_fields(first: type[Parameters], second: type[Parameters]) -> tuple[list[str], list[str]]:
    """The fields that only the first model has, and those that only the second one has."""
    of_first = [name for name in first.model_fields if name not in second.model_fields]
    return of_first, [name for name in second.model_fields if name not in first.model_fields]


@cache
def _named(model: type[Parameters], wanted: type) -> frozenset[str]:
    """The names of the parameters that are lists, or booleans."""
    return frozenset(
        field.alias or name
        for name, field in model.model_fields.items()
        if wanted in {get_origin(kind) or kind for kind in (field.annotation, *get_args(field.annotation))}
    )
