"""``explain`` on the command line: PostgreSQL, the key of references, and auth-service if it answers."""

import asyncio
import sys
from uuid import UUID

from shared.errors import ErrorCode, ServiceError
from shared.phone import E164, parse_any
from shared.process.startup import UnreachableError
from sms_service.explain.render_text import render_text
from sms_service.explain.report import Report
from sms_service.explain.request import identity_of
from sms_service.explain.setup import explainer
from sms_service.settings import ExplainSettings

NOT_ASKABLE = (
    "sms-service: this is no phone number and no id. A number is written as 13800138000 (of +86), +8613800138000 or "
    "+85251234567; the gateway refuses all others, and those of countries that it does not serve (SERVED_CALLING_CODES)\n"
)


def explain(settings: ExplainSettings, asked: str, days: int, *, as_json: bool) -> None:
    """Print the story. Leaves with 2 for what is neither number nor id, with 1 for an unknown id or without servers."""
    about = _about(asked)
    try:
        story = asyncio.run(_story(settings, about, days))
    except UnreachableError as error:
        _leave(1, f"sms-service: {error}\n")
    except ServiceError as error:
        unknown = error.code is ErrorCode.NOT_FOUND
        said = f"no message or verification {about} is kept" if unknown else "PostgreSQL does not answer, try again"
        _leave(1, f"sms-service: {said}\n")
    else:
        sys.stdout.write(story.model_dump_json(indent=2) + "\n" if as_json else render_text(story))


def _about(asked: str) -> UUID | E164:
    try:
        return identity_of(asked) or parse_any(asked)
    except ServiceError:
        _leave(2, NOT_ASKABLE)
        raise


async def _story(settings: ExplainSettings, about: UUID | E164, days: int) -> Report:
    async with explainer(settings) as opened:
        return await opened.explain(about, days)


def _leave(status: int, said: str) -> None:
    sys.stderr.write(said)
    raise SystemExit(status)
