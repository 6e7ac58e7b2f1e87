"""Whom a recorded call is about, as the recording itself tells: numbers, and the tokens that were issued to them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from gateway.shadow.recorded.answers import ReceivedAnswer, outcome_of
from gateway.shadow.recorded.calls import ContractCall
from gateway.shadow.recorded.field_roles import Role, fields_of, inner_model, role_of
from gateway.shadow.recorded.known_values import KnownValues
from gateway.shadow.recorded.requests import Values
from shared.errors import ServiceError
from shared.phone import E164, MAINLAND, parse, parse_any


@dataclass(frozen=True)
class Subject:
    """Whom a call is about. Calls that share one of the ``keys`` keep their order.

    ``number`` is that of the account, ``code_number`` the one whose code the request has, and ``own_number`` the one
    that its session had before.
    """

    keys: frozenset[str] = field(repr=False)
    number: str | None = field(repr=False)
    code_number: str | None = field(repr=False)
    own_number: str | None = field(repr=False)


class Subjects:
    """Finds the subjects of calls in the order of the recording, and remembers to whom tokens were issued."""

    def __init__(self, known: KnownValues) -> None:
        self._known = known

    def find(self, call: ContractCall, request: Values, answer: ReceivedAnswer) -> Subject:
        """The subject of a call, from the values of its request and from its recorded answer."""
        body = answer.body()
        outcome = outcome_of(call, answer.status, body)
        answered = list(_values(body, outcome.model)) if outcome.is_success else []
        answered += [(Role.TOKEN, token) for token in answer.header_tokens().values()]
        own, in_request = self._owner(request), _number(request)
        number = _number(answered) or in_request or own
        if outcome.is_success and number is not None:
            if call.registers or own in self._known.registered:
                self._known.registered.add(number)
            self._remember(number, request, answered)
        numbers = {each for each in (number, in_request, own) if each}
        keys = frozenset(numbers | set(_other_keys([*request, *answered], self._known)))
        return Subject(keys, number, in_request or own, self._owner(request[::-1]))

    def _remember(self, number: str, request: Values, answered: Values) -> None:
        """The tokens of an answer are this number's, and after a change of number those of its request."""
        known = self._known.numbers
        known.update(dict.fromkeys(_tokens(answered), number))
        if _number(answered) is not None:
            known.update({token: number for token in _tokens(request) if token in known})

    def _owner(self, request: Values) -> str | None:
        """To whom the first of the tokens was issued."""
        return next(filter(None, map(self._known.numbers.get, _tokens(request))), None)


def _tokens(values: Values) -> Iterator[str]:
    return (str(value) for role, value in values if role is Role.TOKEN)


def read_number(value: Any, calling_code: str = MAINLAND) -> E164 | None:
    """A number as contracts write it. A JSON number has lost its leading zeros."""
    text = str(value)
    for spelling in (text, f"0{text}"):
        try:
            return parse(spelling, calling_code=calling_code, served={calling_code})
        except ServiceError:
            continue
    try:
        return parse_any(text)
    except ServiceError:
        return None


def _number(values: Values) -> str | None:
    """The first number that can be read."""
    code = _calling_code(values)
    numbers = (read_number(value, code) for role, value in values if role is Role.NUMBER)
    return next(filter(None, numbers), None)


def _calling_code(values: Iterable[tuple[Role, Any]]) -> str:
    """The calling code that stands beside a number, in digits; 86 without."""
    found = (str(value).strip().lstrip("+0") for role, value in values if role is Role.CALLING_CODE)
    return next(filter(str.isdigit, found), MAINLAND)


def _other_keys(request: Values, known: KnownValues) -> Iterator[str]:
    """What else orders calls: other people's numbers, login names, and tokens without an owner."""
    for role, value in request:
        match role:
            case Role.CONTACT:
                yield read_number(value) or str(value)
            case Role.NAME:
                yield f"name {str(value).lower()}"
            case Role.TOKEN if str(value) not in known.numbers:
                yield f"token {value}"


def _values(value: Any, model: type[BaseModel] | None, name: str = "") -> Iterator[tuple[Role, Any]]:
    """The values of an answer that have a role, without those in lists: these are about others."""
    if isinstance(value, dict):
        fields = fields_of(model)
        for key, each in value.items():
            yield from _values(each, inner_model(fields.get(key)) if isinstance(each, dict) else model, key)
    elif (role := role_of(name, model)) and value is not None and not isinstance(value, list):
        yield role, value
