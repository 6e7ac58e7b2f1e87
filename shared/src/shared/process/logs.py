"""Structured logs: one JSON line for each fact, with ids. Private values are removed."""

import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Any, TextIO
from uuid import UUID

import orjson

# structlog imports rich for its console renderer, which we do not use. Without rich a process saves 3 MiB.
# (Only the development environment has it, for its tools.)
_rich = sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
import structlog  # noqa: E402
from structlog.typing import EventDict, WrappedLogger  # noqa: E402

from shared.trace import log_fields  # noqa: E402

if _rich is None:
    del sys.modules["rich"]

PRIVATE = frozenset(
    {
        "phone", "number", "code", "captcha", "vcode", "verify_code", "password", "pwd", "secret", "token",
        "tmp_token", "ticket", "pepper", "key", "body", "contacts", "phones", "text", "authorization", "cookie",
    }
)  # fmt: skip
"""Names whose values never reach a log line."""

SAFE = frozenset({"exception", "request_id", "trace_id", "service", "level", "timestamp", "route"})
"""Names whose values are not searched for numbers: hex ids, in which eleven digits mean nothing, and our own words."""

_PLAIN = frozenset({int, float, bool, type(None)})
_WRITTEN = (int, float, type(None), date, time, UUID, Enum)
"""What is written as it is, at any depth: ids, times and our own words. All else is searched as text."""
_SHORTEST_NUMBER = 8
"""Characters that a number has at least, as ``_NUMBER`` finds it: a shorter text is not searched."""

_LONG_DIGITS = re.compile(r"\+?[0-9]{6,}")
_NUMBER = re.compile(r"\+[0-9]{7,15}|1(?<![0-9]1)[3-9][0-9]{9}(?![0-9])")
"""Both alternatives begin with a fixed character, which makes the search twice as fast."""
_DIGITS = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
"""A table for ``translate``: every digit of ASCII becomes a 0, all else a space."""
_ELEVEN_DIGITS = b" 00000000000 "
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS


def drop_private(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace the values of private names at any depth, and phone numbers inside text."""
    for name, value in event.items():
        if name in PRIVATE or (name not in SAFE and type(value) not in _PLAIN):
            event[name] = _public(name, value)
    return event


def _public(name: str, value: Any) -> Any:
    if name in PRIVATE:
        return "[private]"
    if isinstance(value, str):
        return value if len(value) < _SHORTEST_NUMBER else _NUMBER.sub("[number]", value)
    if isinstance(value, dict):
        return {inner: _public(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_public("", item) for item in value]
    return value if isinstance(value, _WRITTEN) else _public(name, repr(value))


def scrub_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace runs of six or more digits in a traceback, which may quote a request or a row."""
    if isinstance(event.get("exception"), str):
        event["exception"] = _LONG_DIGITS.sub("[digits]", event["exception"])
    return event


def _may_have_private_values(written: bytes) -> bool:
    """Whether ``drop_private`` has to look at an event without private names: a glance at its JSON costs less.

    It has an object in it, which may have such a name; or a plus sign, or eleven digits and no more one after the
    other, as ids of users have. An escaped character ends in digits, and may stand before a number.
    """
    if written.rfind(b"{") > 0 or b"+" in written or b"\\u" in written:
        return True
    return _ELEVEN_DIGITS in written.translate(_DIGITS)


def _as_json_value(value: Any) -> Any:
    """What JSON has no word for: a set as a list, all else as its ``repr``. So dataclasses hide what they mark."""
    return list(value) if isinstance(value, set | frozenset) else repr(value)


def _to_json(event: Any, default: Callable[[Any], Any]) -> str:
    return orjson.dumps(event, default=default).decode()


def line_renderer(service: str) -> structlog.typing.Processor:
    """The whole chain as one step, for our own lines: a third of the time of structlog's processors one by one."""

    def render(logger: WrappedLogger, method: str, event: EventDict) -> bytes:
        if "exc_info" in event:
            event = scrub_exception(logger, method, structlog.processors.format_exc_info(logger, method, event))
        line = {"service": service, **log_fields(), **event, "level": method, "timestamp": datetime.now(UTC)}
        if PRIVATE.isdisjoint(line):
            written = orjson.dumps(line, default=_as_json_value, option=_OPTIONS)
            if not _may_have_private_values(written):
                return written
        return orjson.dumps(drop_private(logger, method, line), default=_as_json_value, option=_OPTIONS)

    return render


def _field_adder(service: str) -> structlog.typing.Processor:
    def add_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {"service": service, **log_fields(), **event}

    return add_fields


def configure(service: str, level: str = "info", *, to: TextIO | None = None) -> None:
    """Write the lines of structlog and of ``logging`` in one format to ``to``, by default standard output."""
    output = to or sys.stdout
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[line_renderer(service)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(output.buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                _field_adder(service),
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                scrub_exception,
                drop_private,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(_to_json),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)
    # shared.amqp logs a lost broker itself; these would add a traceback a second.
    logging.getLogger("aio_pika").setLevel(logging.ERROR)
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
