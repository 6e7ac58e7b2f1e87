"""Compares a recorded answer with that of Haoma, field by field."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from pydantic import BaseModel

from gateway.shadow.differences.descriptions import ContractWords, describe, safe_name
from gateway.shadow.recorded.answers import NOT_JSON, Outcome, ReceivedAnswer, outcome_of
from gateway.shadow.recorded.calls import ContractCall
from gateway.shadow.recorded.field_roles import Role, fields_of, inner_model, role_of
from gateway.shadow.recorded.known_values import KnownValues
from gateway.shadow.recorded.subjects import read_number

OUTCOME, BODY, STATUS = "(outcome)", "(body)", "(status)"
"""Names of what is no field."""
OTHER_MAGNITUDE = 3
"""By how many digits numbers that vary may not differ: seconds are not milliseconds."""
_DIGITS = re.compile(r"[0-9]{5,}")
_NOT_A_NICKNAME = re.compile(r"[0-9]*|.*[/@].*", re.DOTALL)
"""A number is no nickname with an id in it, and neither is an address."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_CODE = re.compile(r"[0-9]{4,8}")


class Kind(StrEnum):
    """How answers differ."""

    MISSING = "missing"
    EXTRA = "extra"
    TYPE = "type"
    VALUE = "value"
    FORM = "form"


@dataclass(frozen=True)
class Difference:
    """A field in which answers differ. The texts describe both sides without quoting private values."""

    field: str
    kind: Kind
    recorded: str
    haoma: str


@dataclass
class Comparison:
    """The differences of two answers, and which of their values stand for each other."""

    differences: list[Difference] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict, repr=False)
    ids: dict[str, str] = field(default_factory=dict, repr=False)
    is_success: bool = False
    """Whether Haoma's answer is one."""


class AnswerComparer:
    """Compares answers of one run. ``known`` grows by what the run learns."""

    def __init__(self, known: KnownValues) -> None:
        self._known = known
        self._words: dict[str, ContractWords] = {}

    def compare(
        self, call: ContractCall, recorded: ReceivedAnswer, haoma: ReceivedAnswer, *, is_new: bool
    ) -> Comparison:
        """Compare two answers to a call. ``is_new``: the account of the call registered in the recording."""
        return _Comparer(call, self._known, partial(self._words_of, call)).run(recorded, haoma, is_new=is_new)

    def _words_of(self, call: ContractCall) -> ContractWords:
        key = f"{call.name} {call.address}"
        if key not in self._words:
            self._words[key] = ContractWords(call)
        return self._words[key]


class _Comparer:
    """One comparison."""

    def __init__(self, call: ContractCall, known: KnownValues, words: Callable[[], ContractWords]) -> None:
        self._call = call
        self._known = known
        self._words = words
        self._found = Comparison()

    def run(self, recorded: ReceivedAnswer, haoma: ReceivedAnswer, *, is_new: bool) -> Comparison:
        bodies = recorded.body(), haoma.body()
        outcomes = (
            outcome_of(self._call, recorded.status, bodies[0]),
            outcome_of(self._call, haoma.status, bodies[1]),
        )
        self._found.is_success = outcomes[1].is_success
        if outcomes[0].is_success != outcomes[1].is_success:
            texts = (self._outcome(*each) for each in zip((recorded, haoma), bodies, outcomes, strict=True))
            self._add(OUTCOME, Kind.VALUE, *texts)
            return self._found
        if recorded.status != haoma.status:
            self._add(STATUS, Kind.VALUE, str(recorded.status), str(haoma.status))
        self._headers(recorded, haoma)
        self._body(bodies[0], bodies[1], outcomes[1].model, is_new=is_new)
        return self._found

    def _outcome(self, answer: ReceivedAnswer, body: Any, outcome: Outcome) -> str:
        """A success or a refusal in words: a refusal with the values that are the contract's own."""
        if outcome.is_success or not isinstance(body, dict):
            return f"{'success' if outcome.is_success else 'refusal'} (HTTP {answer.status})"
        fields = fields_of(outcome.model)
        shown = (
            f"{name} {describe(value, self._words(), None)}"
            for name, value in body.items()
            if name in fields and role_of(name, outcome.model) is None and value not in ("", None)
        )
        return f"refusal (HTTP {answer.status}: {', '.join(shown)})"

    def _headers(self, recorded: ReceivedAnswer, haoma: ReceivedAnswer) -> None:
        kinds = [each.headers.get("content-type", "").partition(";")[0].strip().lower() for each in (recorded, haoma)]
        if kinds[0] and kinds[0] != kinds[1]:
            self._add("header content-type", Kind.VALUE, "another media type", "the media type of the contract")
        tokens = recorded.header_tokens(), haoma.header_tokens()
        for name in sorted(tokens[0].keys() | tokens[1].keys()):
            if name in tokens[0] and name in tokens[1]:
                self._found.tokens[tokens[0][name]] = tokens[1][name]
            else:
                kind = Kind.MISSING if name in tokens[0] else Kind.EXTRA
                texts = ("a token" if name in each else "none" for each in tokens)
                self._add(f"header {name}", kind, *texts)

    def _body(self, recorded: Any, haoma: Any, model: type[BaseModel] | None, *, is_new: bool) -> None:
        if recorded is NOT_JSON or haoma is NOT_JSON:
            if recorded is not haoma:
                self._add(BODY, Kind.FORM, *("no JSON" if each is NOT_JSON else "JSON" for each in (recorded, haoma)))
            return
        self._values(BODY, "", model, recorded, haoma, is_new=is_new)

    def _values(
        self, path: str, name: str, model: type[BaseModel] | None, recorded: Any, haoma: Any, *, is_new: bool
    ) -> None:
        if isinstance(recorded, dict) and isinstance(haoma, dict):
            self._objects(path, model, recorded, haoma, is_new=is_new)
        elif isinstance(recorded, list) and isinstance(haoma, list):
            if len(recorded) != len(haoma):
                self._differ(path, Kind.VALUE, recorded, haoma, None)
                return
            for pair in zip(recorded, haoma, strict=True):
                self._values(f"{path}[]", name, model, *pair, is_new=is_new)
        elif type(recorded) is not type(haoma):
            self._differ(path, Kind.TYPE, recorded, haoma, None)
        else:
            self._scalars(path, role_of(name, model), recorded, haoma, is_new=is_new)

    def _objects(
        self, path: str, model: type[BaseModel] | None, recorded: dict[str, Any], haoma: dict[str, Any], *, is_new: bool
    ) -> None:
        fields = fields_of(model)
        is_new = self._is_new(recorded, model, otherwise=is_new)
        for name in sorted({**recorded, **haoma}, key=lambda each: role_of(each, model) is not Role.ID):
            shown = name if name in fields or name in haoma else f"{safe_name(name)} (not of the contract)"
            inner = shown if path == BODY else f"{path}.{shown}"
            if name not in haoma:
                self._differ(inner, Kind.MISSING, recorded[name], "", role_of(name, model))
            elif name not in recorded:
                self._differ(inner, Kind.EXTRA, "", haoma[name], role_of(name, model))
            else:
                below = inner_model(fields.get(name)) if isinstance(haoma[name], dict | list) else model
                self._values(inner, name, below, recorded[name], haoma[name], is_new=is_new)

    def _is_new(self, recorded: dict[str, Any], model: type[BaseModel] | None, *, otherwise: bool) -> bool:
        """Whether an object is about an account that registered in the recording: its number says so, if it has one."""
        for name, value in recorded.items():
            if role_of(name, model) in {Role.NUMBER, Role.CONTACT} and isinstance(value, str):
                number = read_number(value)
                return number in self._known.registered if number else otherwise
        return otherwise

    def _scalars(self, path: str, role: Role | None, recorded: Any, haoma: Any, *, is_new: bool) -> None:
        if recorded == haoma:
            self._pair(role, recorded, haoma)
            return
        match role:
            case Role.TOKEN | Role.VARYING | Role.CODE:
                alike = _alike(role, recorded, haoma)
                kind = Kind.FORM
            case Role.ID:
                mapped = self._id(str(recorded))
                alike = mapped == str(haoma) if mapped is not None else is_new
                kind = Kind.VALUE
            case Role.CREATED:
                alike, kind = is_new and _alike(role, recorded, haoma), Kind.VALUE
            case _:
                alike, kind = self._is_same_text(recorded, haoma, is_new=is_new), Kind.VALUE
        if alike:
            self._pair(role, recorded, haoma)
        else:
            self._differ(path, kind, recorded, haoma, role)

    def _pair(self, role: Role | None, recorded: Any, haoma: Any) -> None:
        """Remember what stands for what in later calls."""
        if role is Role.TOKEN:
            self._found.tokens[str(recorded)] = str(haoma)
        elif role is Role.ID:
            self._found.ids[str(recorded)] = str(haoma)

    def _id(self, recorded: str) -> str | None:
        return self._found.ids.get(recorded) or self._known.ids.get(recorded)

    def _is_same_text(self, recorded: Any, haoma: Any, *, is_new: bool) -> bool:
        """Whether texts differ by an id that they contain, as default nicknames do."""
        if not isinstance(recorded, str) or _NOT_A_NICKNAME.fullmatch(recorded):
            return False
        mapped = _DIGITS.sub(lambda match: self._id(match[0]) or match[0], recorded)
        return mapped == haoma or (is_new and _DIGITS.sub("#", recorded) == _DIGITS.sub("#", haoma))

    def _differ(self, path: str, kind: Kind, recorded: Any, haoma: Any, role: Role | None) -> None:
        words = self._words()
        texts = [describe(recorded, words, role), describe(haoma, words, role)]
        if kind is Kind.EXTRA:
            texts[0] = "nothing"
        if kind is Kind.MISSING:
            texts[1] = "nothing"
        self._add(path, kind, *texts)

    def _add(self, path: str, kind: Kind, *texts: str) -> None:
        self._found.differences.append(Difference(path, kind, *texts))


def _alike(role: Role, recorded: Any, haoma: Any) -> bool:
    """Whether values that differ in each answer have one form."""
    if isinstance(recorded, str):
        return _form(role, recorded) == _form(role, haoma)
    return abs(len(str(recorded)) - len(str(haoma))) < OTHER_MAGNITUDE


def _form(role: Role, text: str) -> Iterable[object]:
    if role is Role.TOKEN or not text:
        return (bool(text),)
    if role is Role.CODE:
        return (_CODE.fullmatch(text) is not None,)
    is_number = text.isascii() and text.isdigit()
    return bool(text), is_number, is_number and len(text) // OTHER_MAGNITUDE, _MOMENT.match(text) is not None
