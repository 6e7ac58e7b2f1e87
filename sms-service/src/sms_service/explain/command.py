"""``explain`` on the command line. It needs PostgreSQL and PHONE_KEY; without auth-service it reports no sessions."""

import asyncio
import sys
from typing import NoReturn
from uuid import UUID

from shared.errors import ErrorCode, ServiceError
from shared.phone import E164, parse_any
from shared.process.startup import UnreachableError
from sms_service.explain.render_text import render_text
from sms_service.explain.report import Report
from sms_service.explain.request import parse_id
from sms_service.explain.setup import ExplainerSettings, explainer

NOT_A_SUBJECT = (
    "sms-service: this is neither a phone number nor an id. Write a number as 13800138000 (for +86), +8613800138000 or "
    "+85251234567. The gateway refuses other formats, and countries that it does not serve (SERVED_CALLING_CODES).\n"
)
NO_DATABASE = "PostgreSQL does not answer, try again"


def explain(settings: ExplainerSettings, text: str, days: int, *, as_json: bool) -> None:
    """Print the report of a number or id.

    Exits with 2 for text that is neither, with 1 for an unknown id or without PostgreSQL.
    """
    subject = _subject(text)
    try:
        report = asyncio.run(_report(settings, subject, days))
    except UnreachableError as error:
        _exit(1, f"sms-service: {error}\n")
    except ServiceError as error:
        _exit(1, f"sms-service: {_unknown(subject) if error.code is ErrorCode.NOT_FOUND else NO_DATABASE}\n")
    else:
        sys.stdout.write(report.model_dump_json(indent=2) + "\n" if as_json else render_text(report))


def _subject(text: str) -> UUID | E164:
    try:
        return parse_id(text) or parse_any(text)
    except ServiceError:
        _exit(2, NOT_A_SUBJECT)


def _unknown(subject: UUID | E164) -> str:
    return f"no message or verification {subject} is stored"


async def _report(settings: ExplainerSettings, subject: UUID | E164, days: int) -> Report:
    async with explainer(settings) as opened:
        return await opened.explain(subject, days)


def _exit(status: int, error: str) -> NoReturn:
    sys.stderr.write(error)
    raise SystemExit(status)
