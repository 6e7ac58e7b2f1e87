"""The tables of the settings file about texts: templates, signatures, autofill lines, and the errors in them."""

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from shared.internal_api.sms import AccountNotice, Language, Purpose
from sms_service.config_file.fields import ConfigTable, Prefix
from sms_service.messages.segments import segments
from sms_service.messages.templates import (
    MESSAGE_KINDS,
    PLACEHOLDERS,
    Autofill,
    MessageContext,
    Scope,
    Texts,
    most_specific,
)
from sms_service.otp import CODE_LIFETIME

RETRIEVER_BYTES = 140
"""The longest message that Android's SMS Retriever passes to an app, measured in UTF-8 to be safe."""
MAX_SEGMENTS = 3
SAMPLE_CODE = "000000"

Loc = tuple[str | int, ...]
Table: TypeAlias = Literal["texts", "signatures", "autofill"]
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def _template(text: str) -> str:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError("a brace has no partner: write {{ or }} for a brace") from None
    names = [name for _, name, _, _ in parts if name is not None]
    if not PLACEHOLDERS.issuperset(names) or any(spec or conversion for _, _, spec, conversion in parts):
        raise ValueError("the only placeholders are {code}, {minutes} and {signature}")
    if "code" not in names:
        raise ValueError("{code} is missing")
    return text


def _without_controls(text: str) -> str:
    if _CONTROLS.search(text):
        raise ValueError("contains a control character")
    return text


Dialect = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Client = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,32}$")]
Template = Annotated[
    str, Field(min_length=1, max_length=480), AfterValidator(_without_controls), AfterValidator(_template)
]
Signature = Annotated[str, Field(max_length=32, pattern=r"^[^\n]*$"), AfterValidator(_without_controls)]
AppHash = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{11}$")]
Domain = Annotated[
    str, Field(max_length=253, pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$")
]


class TextPart(ConfigTable):
    """A template in one language, for all messages or for a purpose, a prefix of numbers or a dialect.

    One with a ``notice`` is for the messages that tell the owner of a number about their account.
    """

    language: Language
    text: Template
    notice: AccountNotice = AccountNotice.NONE
    purpose: Purpose | None = None
    prefix: Prefix = "+"
    dialect: Dialect = ""

    @property
    def scope(self) -> Scope:
        """The messages it applies to."""
        return Scope(
            dialect=self.dialect,
            prefix=self.prefix,
            purpose=self.purpose,
            language=self.language,
            notice=self.notice,
        )


class SignaturePart(ConfigTable):
    """The value of ``{signature}``. It is empty where the carrier adds a signature itself."""

    signature: Signature
    language: Language | None = None
    prefix: Prefix = "+"
    dialect: Dialect = ""

    @property
    def scope(self) -> Scope:
        """The messages it applies to."""
        return Scope(dialect=self.dialect, prefix=self.prefix, language=self.language)


class AutofillPart(ConfigTable):
    """The app or site that fills in codes, for all users or for those of a dialect or a client."""

    app_hash: AppHash = ""
    domain: Domain = ""
    dialect: Dialect = ""
    client: Client = ""

    @model_validator(mode="after")
    def _require_app_or_site(self) -> Self:
        if not (self.app_hash or self.domain):
            raise ValueError("needs app_hash, domain, or both")
        return self

    @property
    def scope(self) -> Scope:
        """The messages it applies to."""
        return Scope(dialect=self.dialect, client=self.client)


@dataclass(frozen=True)
class MessageTables:
    """The three tables of one file."""

    texts: Sequence[TextPart]
    signatures: Sequence[SignaturePart]
    autofill: Sequence[AutofillPart]

    @property
    def composer(self) -> Texts:
        """The texts that these tables make."""
        return Texts(
            [(part.scope, part.text) for part in self.texts],
            [(part.scope, part.signature) for part in self.signatures],
            [(part.scope, Autofill(part.app_hash, part.domain)) for part in self.autofill],
        )

    def errors(self) -> Iterator[tuple[Loc, str]]:
        """Entries that contradict each other, and texts that are too long."""
        for name, table in self._scopes.items():
            scopes = [scope for scope, _ in table]
            for position, scope in enumerate(scopes):
                if scope in scopes[:position]:
                    yield (name, position), "applies to the same messages as an earlier entry"
        texts = self.composer
        for context in self._contexts():
            text = texts.compose(SAMPLE_CODE, context, CODE_LIFETIME)
            size, parts = len(text.encode()), segments(text)
            if parts > MAX_SEGMENTS:
                yield self._source(context), f"takes {parts} segments, and the maximum is {MAX_SEGMENTS}"
            if size > RETRIEVER_BYTES and self._has_hash(context):
                title = f"the {context.language.value} text for {context.notice.value or context.purpose.value}"
                yield (
                    self._source(context),
                    f"with app_hash, {title} has {size} bytes, and Android passes at most {RETRIEVER_BYTES} to an app",
                )

    def multi_segment(self) -> Iterator[tuple[str, MessageContext, int]]:
        """Each entry whose texts take several segments: its place in the file, one example, and its segments."""
        texts, reported = self.composer, set[Loc]()
        for context in self._contexts():
            parts = segments(texts.compose(SAMPLE_CODE, context, CODE_LIFETIME))
            if parts > 1 and (source := self._source(context)) not in reported:
                reported.add(source)
                yield f"{source[0]}[{source[1]}]", context, parts

    def _contexts(self) -> Iterator[MessageContext]:
        """One context for each text that the tables can make."""
        intersections = self._scope_intersections()
        clients = sorted({""} | {part.client for part in self.autofill})
        autofills = {
            dialect: self._autofills(dialect, clients) for dialect in {dialect for _, dialect in intersections}
        }
        seen: set[tuple[object, ...]] = set()
        for (purpose, notice), language, (prefix, dialect) in product(MESSAGE_KINDS, Language, intersections):
            context = MessageContext(purpose, language, prefix, dialect, notice=notice)
            template, signature = self._position("texts", context), self._position("signatures", context)
            body = (template, signature) if template is not None else (notice or purpose, language, signature)
            for autofill, client in autofills[dialect].items():
                if (*body, autofill) not in seen:
                    seen.add((*body, autofill))
                    yield replace(context, client=client)

    def _scope_intersections(self) -> list[tuple[str, str]]:
        """The prefixes and dialects at which the scopes of entries intersect.

        Checking these is enough. Entries that make a text together anywhere also make it at their intersection, where
        no other entry is more specific unless it also is in the other place.
        """
        found = {("+", "")}
        for table in self._scopes.values():
            scopes = {(scope.prefix, scope.dialect) for scope, _ in table}
            found |= {both for one, other in product(found, scopes) if (both := _intersection(one, other))}
        return sorted(found)

    def _autofills(self, dialect: str, clients: Sequence[str]) -> dict[int | None, str]:
        """The entries of ``autofill`` that messages of a dialect can have, each with a client that has it."""
        contexts = [MessageContext(Purpose.SIGN_UP, Language.CHINESE, "+", dialect, client) for client in clients]
        return {self._position("autofill", context): context.client for context in contexts}

    def _has_hash(self, context: MessageContext) -> bool:
        position = self._position("autofill", context)
        return position is not None and bool(self.autofill[position].app_hash)

    def _source(self, context: MessageContext) -> Loc:
        """The entry that most determines a text: its template, or else its autofill line, or else its signature."""
        entries = ((name, self._position(name, context)) for name in ("texts", "autofill", "signatures"))
        return next((name, position) for name, position in entries if position is not None)

    def _position(self, table: Table, context: MessageContext) -> int | None:
        return most_specific(self._scopes[table], context)

    @cached_property
    def _scopes(self) -> dict[Table, list[tuple[Scope, int]]]:
        """The scope and position of each entry, by table."""
        tables: dict[Table, Sequence[TextPart | SignaturePart | AutofillPart]] = {
            "texts": self.texts,
            "signatures": self.signatures,
            "autofill": self.autofill,
        }
        return {name: [(part.scope, position) for position, part in enumerate(parts)] for name, parts in tables.items()}


def _intersection(one: tuple[str, str], other: tuple[str, str]) -> tuple[str, str] | None:
    """The prefix and dialect that both of two scopes cover, if there is one."""
    (short, long), dialects = sorted((one[0], other[0]), key=len), {one[1], other[1]} - {""}
    if not long.startswith(short) or len(dialects) > 1:
        return None
    return long, max(dialects, default="")
