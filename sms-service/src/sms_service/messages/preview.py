"""What will be sent, for the operator to read before anybody else does."""

from shared.internal_api.sms import Language, Purpose
from shared.languages import language_of
from sms_service.messages.segments import encoding, segments, units
from sms_service.messages.templates import MessageContext, Texts
from sms_service.otp import CODE_LIFETIME

CODE = "012345"


def preview(texts: Texts, number: str, language: Language | None = None, dialect: str = "", client: str = "") -> str:
    """The text for each purpose, with its encoding and how many short messages carry it.

    ``number`` may be a prefix. Without a language it is that of the number's country, as for who asks for none.
    """
    shown = []
    for purpose in Purpose:
        occasion = MessageContext(purpose, language or Language(language_of(number)), number, dialect, client)
        text = texts.compose(CODE, occasion, CODE_LIFETIME)
        written, parts = encoding(text), segments(text)
        size = f"{units(text)} of {written.alone if parts == 1 else parts * written.part}"
        carried = "1 short message" if parts == 1 else f"{parts} short messages"
        indented = "\n".join(f"    {line}" for line in text.split("\n"))
        shown.append(f"{purpose.value} ({occasion.language.value}): {written.name}, {size}, {carried}\n{indented}\n")
    return "\n".join(shown)
