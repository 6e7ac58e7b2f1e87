"""What a message says: the most particular words there are for it, and the line that phones fill its code in from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from shared.internal_api.sms import Language, Purpose
from sms_service.messages.default_templates import MINUTES, SIGNATURES, TEMPLATES

PLACEHOLDERS = frozenset({"code", "minutes", "signature"})
"""What a template may ask for. ``minutes`` brings its unit, in the language of the text: ``5 minutes``."""

T = TypeVar("T")


@dataclass(frozen=True)
class MessageContext:
    """What a message is sent for, in which language, to whom, and for which app."""

    purpose: Purpose
    language: Language
    number: str = field(repr=False)
    dialect: str = ""
    client: str = ""


@dataclass(frozen=True)
class Scope:
    """The occasions that something is for; what is left as it is here restricts nothing."""

    dialect: str = ""
    client: str = ""
    prefix: str = "+"
    purpose: Purpose | None = None
    language: Language | None = None

    def covers(self, occasion: MessageContext) -> bool:
        """Whether it is for this occasion."""
        return (
            self.dialect in ("", occasion.dialect)
            and self.client in ("", occasion.client)
            and occasion.number.startswith(self.prefix)
            and self.purpose in (None, occasion.purpose)
            and self.language in (None, occasion.language)
        )

    @property
    def rank(self) -> tuple[bool, bool, int, bool, bool]:
        """The greater, the more particular. Of two that cover one occasion and differ, one is greater."""
        return (
            bool(self.dialect),
            bool(self.client),
            len(self.prefix),
            self.purpose is not None,
            self.language is not None,
        )


@dataclass(frozen=True)
class Autofill:
    """Who may fill a code in: an Android app by its hash (SMS Retriever), a site by its domain (origin-bound codes).

    The line of a domain must be the last one, and what follows its code there is ignored; a message for SMS Retriever
    ends with the hash. So they share a line.
    """

    app_hash: str = ""
    domain: str = ""

    def line(self, code: str) -> str:
        """The last line of a message."""
        bound = f"@{self.domain} #{code}" if self.domain else ""
        return f"{bound} {self.app_hash}".strip()


Scoped = Sequence[tuple[Scope, T]]


def find(given: Scoped[T], occasion: MessageContext) -> T | None:
    """Of what covers an occasion the most particular; None where nothing does."""
    fitting = [each for each in given if each[0].covers(occasion)]
    return max(fitting, key=lambda each: each[0].rank)[1] if fitting else None


class Texts:
    """Templates, signatures and autofill lines of the operator's, over our own words."""

    def __init__(
        self, templates: Scoped[str] = (), signatures: Scoped[str] = (), autofills: Scoped[Autofill] = ()
    ) -> None:
        self._templates = templates
        self._signatures = signatures
        self._autofills = autofills

    def compose(self, code: str, occasion: MessageContext, remaining: timedelta) -> str:
        """The text for a code that lives for ``remaining``, which a message sent again must not overstate."""
        template = find(self._templates, occasion) or TEMPLATES[occasion.language][occasion.purpose]
        signature = find(self._signatures, occasion)
        text = template.format(
            code=code,
            minutes=_minutes(remaining, occasion.language),
            signature=SIGNATURES[occasion.language] if signature is None else signature,
        ).strip()
        autofill = find(self._autofills, occasion)
        return f"{text}\n{autofill.line(code)}" if autofill else text


BUILT_IN = Texts()
"""Our own words and nothing else."""


def _minutes(remaining: timedelta, language: Language) -> str:
    minutes = max(1, math.ceil(remaining.total_seconds() / 60))
    one, more = MINUTES[language]
    return (one if minutes == 1 else more).format(minutes)
