"""What a relay publishes for the rows that it has: a message for each, or one for several that are joined."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import asyncpg
import structlog

from shared.events.envelope import OutboxMessage

MAX_JOINED = 8
"""How many messages may be joined into one: few enough that a burst is spread over several consumers."""

Join = Callable[[Sequence[bytes]], bytes]
"""Joins the bodies of several messages into one body. Raises ``ValueError`` for bodies that cannot be joined."""

Row = asyncpg.Record | Mapping[str, Any]
Parcel = tuple[OutboxMessage, Sequence[Row]]
"""A message to publish, and the rows that it carries."""

NO_JOINS: Mapping[str, Join] = MappingProxyType({})

log = structlog.get_logger()


def parcels_of(rows: Sequence[Row], joins: Mapping[str, Join]) -> Iterator[Parcel]:
    """The messages to publish for these rows."""
    joinable: dict[str, list[Row]] = {}
    for row in rows:
        if row["routing_key"] in joins:
            joinable.setdefault(row["routing_key"], []).append(row)
        else:
            yield _message(row), [row]
    for key, same_key in joinable.items():
        for start in range(0, len(same_key), MAX_JOINED):
            yield from _joined(joins[key], key, same_key[start : start + MAX_JOINED])


def _joined(join: Join, key: str, rows: Sequence[Row]) -> Iterator[Parcel]:
    try:
        body = join([row["body"] for row in rows])
    except ValueError:  # a malformed message must not delay the others
        log.warning("outbox.join_failed", routing_key=key)
        yield from ((_message(row), [row]) for row in rows)
    else:
        yield replace(_message(rows[0]), body=body), rows


def row_of(message: OutboxMessage) -> Row:
    """A message as its row has it."""
    return {
        "id": message.id,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "body": message.body,
    }


def _message(row: Row) -> OutboxMessage:
    return OutboxMessage(row["id"], row["exchange"], row["routing_key"], row["body"])
