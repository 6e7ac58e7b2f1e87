"""What the settings file says of texts: templates, signatures, autofill lines, and what is wrong with them."""

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from shared.internal_api.sms import Language, Purpose
from sms_service.messages.segments import segments
from sms_service.messages.templates import PLACEHOLDERS, Autofill, MessageContext, Scope, Texts, find
from sms_service.otp import CODE_LIFETIME
from sms_service.senders.config import Part

RETRIEVER_BYTES = 140
"""The longest message that Android's SMS Retriever hands to an app; read strictly, as UTF-8."""
MAX_SEGMENTS = 3
ANY_CODE = "000000"

Loc = tuple[str | int, ...]
Table: TypeAlias = Literal["texts", "signatures", "autofill"]
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def _template(text: str) -> str:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError("a brace is open or closed alone: write {{ or }} for a brace") from None
    asked = [name for _, name, _, _ in parts if name is not None]
    if not PLACEHOLDERS.issuperset(asked) or any(spec or conversion for _, _, spec, conversion in parts):
        raise ValueError("only {code}, {minutes} and {signature} are filled in")
    if "code" not in asked:
        raise ValueError("needs {code}")
    return text


def _without_controls(text: str) -> str:
    if _CONTROLS.search(text):
        raise ValueError("holds a control character")
    return text


Dialect = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Client = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,32}$")]
Prefix = Annotated[str, Field(pattern=r"^\+[0-9]{0,15}$")]
Template = Annotated[
    str, Field(min_length=1, max_length=480), AfterValidator(_without_controls), AfterValidator(_template)
]
Signature = Annotated[str, Field(max_length=32, pattern=r"^[^\n]*$"), AfterValidator(_without_controls)]
AppHash = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{11}$")]
Domain = Annotated[
    str, Field(max_length=253, pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$")
]


class TextPart(Part):
    """A template: the words in one language, for a purpose, numbers with a prefix, a dialect, or all of them."""

    language: Language
    text: Template
    purpose: Purpose | None = None
    prefix: Prefix = "+"
    dialect: Dialect = ""

    @property
    def scope(self) -> Scope:
        """What it is for."""
        return Scope(dialect=self.dialect, prefix=self.prefix, purpose=self.purpose, language=self.language)


class SignaturePart(Part):
    """What stands for ``{signature}``; empty where the carrier puts one before the text itself."""

    signature: Signature
    language: Language | None = None
    prefix: Prefix = "+"
    dialect: Dialect = ""

    @property
    def scope(self) -> Scope:
        """What it is for."""
        return Scope(dialect=self.dialect, prefix=self.prefix, language=self.language)


class AutofillPart(Part):
    """Whose phones and browsers fill a code in: of all, or of a dialect's or a client's users."""

    app_hash: AppHash = ""
    domain: Domain = ""
    dialect: Dialect = ""
    client: Client = ""

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not (self.app_hash or self.domain):
            raise ValueError("needs app_hash, domain, or both")
        return self

    @property
    def scope(self) -> Scope:
        """What it is for."""
        return Scope(dialect=self.dialect, client=self.client)


@dataclass(frozen=True)
class TextTables:
    """The three tables of one file."""

    texts: Sequence[TextPart]
    signatures: Sequence[SignaturePart]
    autofill: Sequence[AutofillPart]

    @property
    def words(self) -> Texts:
        """The texts as the rules know them."""
        return Texts(
            [(part.scope, part.text) for part in self.texts],
            [(part.scope, part.signature) for part in self.signatures],
            [(part.scope, Autofill(part.app_hash, part.domain)) for part in self.autofill],
        )

    def wrong(self) -> Iterator[tuple[Loc, str]]:
        """Where the tables disagree with themselves, or with what phones can take."""
        for name, table in self._scopes.items():
            scopes = [scope for scope, _ in table]
            for position, scope in enumerate(scopes):
                if scope in scopes[:position]:
                    yield (name, position), "is for the same as one before it"
        words = self.words
        for occasion in self._occasions():
            text = words.compose(ANY_CODE, occasion, CODE_LIFETIME)
            size, parts = len(text.encode()), segments(text)
            if parts > MAX_SEGMENTS:
                yield self._source(occasion), f"takes {parts} short messages; more than {MAX_SEGMENTS} are not sent"
            if size > RETRIEVER_BYTES and self._has_hash(occasion):
                said = f"with app_hash, {_title(occasion)} has {size} bytes; an app is given {RETRIEVER_BYTES} at most"
                yield self._source(occasion), said

    def multi_segment(self) -> Iterator[tuple[str, MessageContext, int]]:
        """Texts of more than one short message: where they are written, one occasion for each, how many they take."""
        words, told = self.words, set[Loc]()
        for occasion in self._occasions():
            parts = segments(words.compose(ANY_CODE, occasion, CODE_LIFETIME))
            if parts > 1 and (source := self._source(occasion)) not in told:
                told.add(source)
                yield f"{source[0]}[{source[1]}]", occasion, parts

    def _occasions(self) -> Iterator[MessageContext]:
        """One for each text that the tables can make."""
        intersections = self._scope_intersections()
        clients = sorted({""} | {part.client for part in self.autofill})
        lasts = {dialect: self._lasts(dialect, clients) for dialect in {dialect for _, dialect in intersections}}
        seen: set[tuple[object, ...]] = set()
        for purpose, language, (prefix, dialect) in product(Purpose, Language, intersections):
            occasion = MessageContext(purpose, language, prefix, dialect)
            template, signature = self._position("texts", occasion), self._position("signatures", occasion)
            first = (template, signature) if template is not None else (purpose, language, signature)
            for last, client in lasts[dialect].items():
                if (*first, last) not in seen:
                    seen.add((*first, last))
                    yield replace(occasion, client=client)

    def _scope_intersections(self) -> list[tuple[str, str]]:
        """The prefixes and dialects at which entries of the three tables meet.

        Entries that together make a text anywhere also make one there: nothing is for that meeting which is not for
        the other place too, and so nothing more particular.
        """
        met = {("+", "")}
        for table in self._scopes.values():
            scopes = {(scope.prefix, scope.dialect) for scope, _ in table}
            met |= {meeting for one, other in product(met, scopes) if (meeting := _meeting(one, other))}
        return sorted(met)

    def _lasts(self, dialect: str, clients: Sequence[str]) -> dict[int | None, str]:
        """The entries of ``autofill`` that messages of a dialect can have, each with a client that has it."""
        asked = [MessageContext(Purpose.SIGN_UP, Language.CHINESE, "+", dialect, client) for client in clients]
        return {self._position("autofill", occasion): occasion.client for occasion in asked}

    def _has_hash(self, occasion: MessageContext) -> bool:
        position = self._position("autofill", occasion)
        return position is not None and bool(self.autofill[position].app_hash)

    def _source(self, occasion: MessageContext) -> Loc:
        """Which entry has most to do with a text: its template, else its autofill line, else its signature."""
        found = ((name, self._position(name, occasion)) for name in ("texts", "autofill", "signatures"))
        return next((name, position) for name, position in found if position is not None)

    def _position(self, table: Table, occasion: MessageContext) -> int | None:
        return find(self._scopes[table], occasion)

    @cached_property
    def _scopes(self) -> dict[Table, list[tuple[Scope, int]]]:
        """What the entries of each table are for."""
        tables: dict[Table, Sequence[TextPart | SignaturePart | AutofillPart]] = {
            "texts": self.texts,
            "signatures": self.signatures,
            "autofill": self.autofill,
        }
        return {name: [(part.scope, place) for place, part in enumerate(parts)] for name, parts in tables.items()}


def _meeting(one: tuple[str, str], other: tuple[str, str]) -> tuple[str, str] | None:
    """The prefix and the dialect that two entries are both for, if there is one."""
    (short, multi_segment), dialects = sorted((one[0], other[0]), key=len), {one[1], other[1]} - {""}
    if not multi_segment.startswith(short) or len(dialects) > 1:
        return None
    return multi_segment, max(dialects, default="")


def _title(occasion: MessageContext) -> str:
    return f"the {occasion.language.value} text for {occasion.purpose.value}"
