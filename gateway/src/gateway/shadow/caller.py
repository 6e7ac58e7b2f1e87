"""Makes one recorded call on Haoma, with Haoma's own tokens, ids and codes, and compares the answers."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from gateway.shadow.differences.comparison import AnswerComparer, Comparison, Difference, Kind
from gateway.shadow.recorded.answers import ReceivedAnswer, outcome_of
from gateway.shadow.recorded.calls import ContractCall
from gateway.shadow.recorded.field_roles import Role
from gateway.shadow.recorded.known_values import KnownValues
from gateway.shadow.recorded.recording import RecordedCall
from gateway.shadow.recorded.requests import Request, Values, rewritten
from gateway.shadow.recorded.subjects import Subject
from shared.numbers.spelling import clean

CODE_DIGITS = 6
SETTLE_SECONDS = 5.0
"""How long a look-up is repeated while its answer differs: events arrive a moment later."""
SETTLE_DELAY = 0.2
MAX_SETTLED = 3
"""How often that is done for one field of a call."""
MESSAGE_SECONDS = 15.0
"""How long a message may take."""
NO_ANSWER = "(answer)"
_CODE = re.compile(f"[0-9]{{{CODE_DIGITS}}}")

Codes = Mapping[tuple[Role, str], str]


class Gateway(Protocol):
    """Where calls are made."""

    async def send(self, request: Request) -> ReceivedAnswer | None:
        """The answer; None if the connection ended or the deadline passed without one."""


class Inbox(Protocol):
    """Where the codes of a copy arrive."""

    async def newest(self, number: str, after: str, wait: float) -> tuple[str, str] | None:
        """Id and code of the newest message to a number after another one, within so many seconds."""


class ShadowCaller:
    """Makes calls. ``inbox`` is that of a copy; without one no code of a recording can be right."""

    def __init__(
        self, gateway: Gateway, inbox: Inbox | None, known: KnownValues, settle_seconds: float = SETTLE_SECONDS
    ) -> None:
        self._gateway = gateway
        self._inbox = inbox
        self._known = known
        self._settle_seconds = settle_seconds
        self._comparer = AnswerComparer(known)
        self._lasting: Counter[tuple[str, str]] = Counter()

    async def differences(
        self, call: ContractCall, recorded: RecordedCall, subject: Subject, values: Values
    ) -> list[Difference]:
        """Make a call, and learn from its answer. Raises ``UnreachableError``."""
        answer = ReceivedAnswer.of(recorded.response)
        codes = await self._codes(call, answer, subject, values)
        request = rewritten(call, recorded, lambda role, value: self._changed(codes, role, value))
        comparison = await self._settled(call, answer, request, is_new=subject.number in self._known.registered)
        self._known.tokens.update(comparison.tokens)
        self._known.ids.update(comparison.ids)
        self._lasting.update((call.name, each.field) for each in comparison.differences)
        if call.sends_code and comparison.is_success and subject.code_number:
            self._known.unread.add(subject.code_number)
        return comparison.differences

    async def _settled(
        self, call: ContractCall, recorded: ReceivedAnswer, request: Request, *, is_new: bool
    ) -> Comparison:
        """The comparison; of a look-up, the first without a difference within some seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + (self._settle_seconds if call.is_repeatable else 0)
        while True:
            haoma = await self._gateway.send(request)
            if haoma is None:
                return Comparison([Difference(NO_ANSWER, Kind.MISSING, f"HTTP {recorded.status}", "nothing")])
            comparison = self._comparer.compare(call, recorded, haoma, is_new=is_new)
            if not comparison.differences or loop.time() >= end or self._is_known(call, comparison):
                return comparison
            await asyncio.sleep(SETTLE_DELAY)

    def _is_known(self, call: ContractCall, comparison: Comparison) -> bool:
        """Whether each difference has lasted often enough in such calls, so that no more time is spent on it."""
        return all(self._lasting[call.name, each.field] >= MAX_SETTLED for each in comparison.differences)

    def _changed(self, codes: Codes, role: Role, value: Any) -> Any:
        """What Haoma knows a value by."""
        text = str(value)
        known = {Role.TOKEN: self._known.tokens, Role.ID: self._known.ids}.get(role, {})
        changed = known.get(text) or codes.get((role, text))
        if changed is None:
            return value
        return int(changed) if isinstance(value, int) and changed.isdigit() else changed

    async def _codes(
        self, call: ContractCall, recorded: ReceivedAnswer, subject: Subject, values: Values
    ) -> dict[tuple[Role, str], str]:
        """The copy's codes in place of those of the request that were right."""
        numbers = {Role.CODE: subject.code_number, Role.OWN_CODE: subject.own_number}
        sent = [(role, str(value), numbers[role]) for role, value in values if role in numbers]
        if not sent:
            return {}
        body = recorded.body()
        is_refused = call.is_code_refusal(body)
        wait = MESSAGE_SECONDS if outcome_of(call, recorded.status, body).is_success else 0.0
        found: dict[tuple[Role, str], str] = {}
        for role, text, number in sent:
            code = await self._code(number, text, None if is_refused else wait) if number else None
            found |= {(role, text): code} if code else {}
        return found

    async def _code(self, number: str, recorded: str, wait: float | None) -> str | None:
        """The code that stands for a recorded one: known already, or the newest of the inbox.

        ``wait`` is how many seconds its message may take; None for a code that was refused, which stays as it is.
        """
        digits = clean(recorded).zfill(CODE_DIGITS)
        known = self._known.code(number, digits)
        if known is not None or wait is None or self._inbox is None or not _CODE.fullmatch(digits):
            return known
        last = self._known.last_messages.get(number, "")
        message = await self._inbox.newest(number, last if number in self._known.unread else "", wait)
        if message is None:
            return None
        self._known.unread.discard(number)
        self._known.last_messages[number] = message[0]
        self._known.learn_code(number, digits, message[1])
        return message[1]
