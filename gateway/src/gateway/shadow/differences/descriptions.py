"""Describes a value for a report: words of the contract as they are, everything else by its form only."""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from gateway.dialect import Dialect
from gateway.http.problems import ACCEPT_LANGUAGE
from gateway.shadow.recorded.calls import ContractCall, json_of
from gateway.shadow.recorded.field_roles import Role, inner_model
from shared.errors import ErrorCode, ServiceError

LANGUAGES = ("zh", "en")
MAX_SHOWN_INTEGER = 10_000
"""Smaller ones are levels, statuses and the like."""
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$-]{0,63}")
_MANY_DIGITS = re.compile(r"[0-9]{5}")


class ContractWords:
    """The texts that a call of a contract can have in its answers, whichever user it is about."""

    def __init__(self, call: ContractCall) -> None:
        self._words = {*_refusal_texts(call), *_success_texts(call)}

    def __contains__(self, text: str) -> bool:
        return text in self._words


def describe(value: Any, words: ContractWords, role: Role | None) -> str:
    """What a report says of a value. It quotes the words of the contract and small numbers, and nothing else."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        is_shown = role is None and abs(value) < MAX_SHOWN_INTEGER
        return str(value) if is_shown else f"number of {len(str(abs(value)))} digits"
    if isinstance(value, str):
        return _describe_text(value, words, role)
    if isinstance(value, float):
        return "number with a fraction"
    return f"list of {len(value)}" if isinstance(value, list) else f"object of {len(value)} fields"


def _describe_text(text: str, words: ContractWords, role: Role | None) -> str:
    if not text:
        return "empty text"
    if role is None and text in words:
        return f'"{text}"'
    what = "digits" if text.isascii() and text.isdigit() else "characters"
    return f"text of {len(text)} {what}"


def safe_name(name: str) -> str:
    """The name of a field that the contract does not have. One that may be a number or a token is not shown."""
    return name if _NAME.fullmatch(name) and not _MANY_DIGITS.search(name) else "(a name)"


def _refusal_texts(call: ContractCall) -> Iterator[str]:
    """What the contract says in refusals of this call, in both languages."""
    names = [None, *(name for model in call.parameters for name in model.model_fields)]
    errors = [ServiceError(code) for code in ErrorCode]
    errors += [ServiceError(ErrorCode.PARAMETER_MISSING, field=name) for name in names]
    errors += call.operation.variants if call.operation else ()
    for language in LANGUAGES:
        yield from _rendered_texts(call.dialect, errors, call.path, language)


def _rendered_texts(dialect: Dialect, errors: Sequence[ServiceError], path: str, language: str) -> Iterator[str]:
    token = ACCEPT_LANGUAGE.set(language)
    try:
        for error in errors:
            body = json_of(dialect.render_error(error, path))
            yield from (value for name, value in body.items() if isinstance(value, str) and name != "token")
    finally:
        ACCEPT_LANGUAGE.reset(token)


def _success_texts(call: ContractCall) -> Iterator[str]:
    """The constants in the bodies of success."""
    for body in call.successes:
        if isinstance(body, BaseModel):
            yield from (value for value in body.model_dump(mode="json").values() if isinstance(value, str))
        yield from _constants(body if isinstance(body, type) else type(body))


def _constants(model: type[BaseModel] | type[None]) -> Iterator[str]:
    if not issubclass(model, BaseModel):
        return
    for info in model.model_fields.values():
        kind = info.annotation
        if get_origin(kind) is Literal:
            yield from (each for each in get_args(kind) if isinstance(each, str))
        elif isinstance(kind, type) and issubclass(kind, Enum):
            yield from (str(each.value) for each in kind)
        elif inner := inner_model(info):
            yield from _constants(inner)
