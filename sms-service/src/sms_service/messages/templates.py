"""The text of a message: the most specific template, signature and autofill line for it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from shared.internal_api.sms import AccountNotice, Language, Purpose
from shared.values import value
from sms_service.messages.default_templates import MINUTES, NOTICES, SIGNATURES, TEMPLATES

MESSAGE_KINDS: Sequence[tuple[Purpose, AccountNotice]] = (
    *((purpose, AccountNotice.NONE) for purpose in Purpose),
    (Purpose.SIGN_UP, AccountNotice.REGISTERED),
    (Purpose.CHANGE_PHONE, AccountNotice.REGISTERED),
    (Purpose.SIGN_IN, AccountNotice.NO_ACCOUNT),
    (Purpose.RESET_PASSWORD, AccountNotice.NO_ACCOUNT),
    (Purpose.CHANGE_PHONE, AccountNotice.NO_ACCOUNT),
)
"""Every purpose, alone and with each notice that can go with it."""
PLACEHOLDERS = frozenset({"code", "minutes", "signature"})
"""The placeholders of a template. ``minutes`` includes the unit, in the language of the text: ``5 minutes``."""

T = TypeVar("T")


@value
class MessageContext:
    """What a message is for: its purpose, language, recipient and app, and what it says about the account."""

    purpose: Purpose
    language: Language
    number: str = field(repr=False)
    dialect: str = ""
    client: str = ""
    notice: AccountNotice = AccountNotice.NONE


@dataclass(frozen=True)
class Scope:
    """The messages that an entry of the settings file applies to. A field with its default restricts nothing.

    Every template has a ``notice``, if only the empty one: it is for messages with this notice and no others.
    """

    dialect: str = ""
    client: str = ""
    prefix: str = "+"
    purpose: Purpose | None = None
    language: Language | None = None
    notice: AccountNotice | None = None

    def covers(self, context: MessageContext) -> bool:
        """Whether it applies to a message."""
        return (
            self.dialect in ("", context.dialect)
            and self.client in ("", context.client)
            and context.number.startswith(self.prefix)
            and self.purpose in (None, context.purpose)
            and self.language in (None, context.language)
            and self.notice in (None, context.notice)
        )

    @property
    def rank(self) -> tuple[bool, bool, int, bool, bool]:
        """Greater for a more specific scope. Two scopes that cover the same message never have equal ranks."""
        return (
            bool(self.dialect),
            bool(self.client),
            len(self.prefix),
            self.purpose is not None,
            self.language is not None,
        )


@dataclass(frozen=True)
class Autofill:
    """Lets an Android app fill in the code by its hash (SMS Retriever), or a site by its domain (origin-bound codes).

    Both share one line: the line of a domain must be the last one, where text after the code is ignored, and a message
    for SMS Retriever must end with the hash.
    """

    app_hash: str = ""
    domain: str = ""

    def line(self, code: str) -> str:
        """The last line of a message."""
        bound = f"@{self.domain} #{code}" if self.domain else ""
        return f"{bound} {self.app_hash}".strip()


Scoped = Sequence[tuple[Scope, T]]


def most_specific(entries: Scoped[T], context: MessageContext) -> T | None:
    """The most specific of the entries that cover a message; None if no entry does."""
    covering = [entry for entry in entries if entry[0].covers(context)]
    return max(covering, key=lambda entry: entry[0].rank)[1] if covering else None


class Texts:
    """The operator's templates, signatures and autofill lines, with the built-in ones as defaults."""

    def __init__(
        self, templates: Scoped[str] = (), signatures: Scoped[str] = (), autofills: Scoped[Autofill] = ()
    ) -> None:
        self._templates = templates
        self._signatures = signatures
        self._autofills = autofills

    def compose(self, code: str, context: MessageContext, remaining: timedelta) -> str:
        """The text for a code that is valid for ``remaining``, which is shorter when a code is sent again."""
        template = most_specific(self._templates, context) or _built_in(context)
        signature = most_specific(self._signatures, context)
        text = template.format(
            code=code,
            minutes=_minutes(remaining, context.language),
            signature=SIGNATURES[context.language] if signature is None else signature,
        ).strip()
        autofill = most_specific(self._autofills, context)
        return f"{text}\n{autofill.line(code)}" if autofill else text


def _built_in(context: MessageContext) -> str:
    if context.notice is not AccountNotice.NONE:
        return NOTICES[context.language][context.notice]
    return TEMPLATES[context.language][context.purpose]


BUILT_IN = Texts()
"""The built-in templates alone."""


def _minutes(remaining: timedelta, language: Language) -> str:
    minutes = max(1, math.ceil(remaining.total_seconds() / 60))
    one, more = MINUTES[language]
    return (one if minutes == 1 else more).format(minutes)
