"""Shows an operator the texts before they are sent."""

from shared.internal_api.sms import Language
from shared.languages import language_of
from sms_service.messages.segments import encoding, segments, units
from sms_service.messages.templates import MESSAGE_KINDS, MessageContext, Texts
from sms_service.otp import CODE_LIFETIME

CODE = "012345"


def preview(texts: Texts, number: str, language: Language | None = None, dialect: str = "", client: str = "") -> str:
    """The text for each purpose and for each notice, with its encoding and segments.

    ``number`` may be a prefix. Without a language, the texts are in the language of the number's country.
    """
    shown: dict[str, str] = {}
    for purpose, notice in MESSAGE_KINDS:
        context = MessageContext(
            purpose, language or Language(language_of(number)), number, dialect, client, notice=notice
        )
        text = texts.compose(CODE, context, CODE_LIFETIME)
        shown.setdefault(text, f"{notice.value or purpose.value} ({context.language.value}): {_described(text)}")
    return "\n".join(shown.values())


def _described(text: str) -> str:
    used, parts = encoding(text), segments(text)
    size = f"{units(text)} of {used.alone if parts == 1 else parts * used.part}"
    count = "1 segment" if parts == 1 else f"{parts} segments"
    indented = "\n".join(f"    {line}" for line in text.split("\n"))
    return f"{used.name}, {size}, {count}\n{indented}\n"
