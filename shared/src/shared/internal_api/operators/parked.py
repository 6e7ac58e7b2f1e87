"""The internal API of operators, continued: what is parked in a service, why, and what becomes of it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from shared.internal_api.endpoint import Endpoint, WireModel
from shared.internal_api.operators.requests import OperatorRequest, ReasonedRequest, ServiceName
from shared.internal_api.principals import Principal

MAX_ITEMS = 1_000
"""The most that one request lists, replays or drops."""
MAX_IDS = 300
"""The most that one request names by their ids."""

Service = Annotated[ServiceName, Field(description="auth-service, sms-service or contacts-service")]


class ParkedKind(StrEnum):
    """A message that a consumer gave up, or a row of the outbox that the broker refused."""

    MESSAGE = "message"
    OUTBOX = "outbox"


class ParkedItem(WireModel):
    """A parked message or row. ``destination`` is its queue, or its exchange and routing key."""

    id: UUID
    kind: ParkedKind
    destination: str
    reason: str
    attempts: int
    since: datetime
    size: int


class ListParked(OperatorRequest):
    """List what is parked in a service, oldest first, at most 1,000."""

    service: Service


class ParkedItems(WireModel):
    """The oldest of what is parked, and how much there is in all."""

    items: list[ParkedItem]
    total: int


class ShowParked(OperatorRequest):
    """Show why something is parked, and its content to those who may see numbers."""

    service: Service
    id: UUID = Field(description="its id, as parked lists it")


class ShownItem(ParkedItem):
    """A parked item with its content as text; None without the right to see numbers."""

    content: str | None = Field(repr=False)


class SettleRequest(ReasonedRequest):
    """Some of what is parked by their ids, or the oldest 1,000."""

    service: Service
    ids: list[UUID] = Field(default=[], max_length=MAX_IDS, description="their ids, as parked lists them")
    everything: bool = Field(default=False, description="the oldest 1,000, in place of ids")

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if bool(self.ids) == self.everything:
            raise ValueError("say which: either ids, or everything")
        return self


class ReplayParked(SettleRequest):
    """Give parked messages to their consumer again, and parked rows of the outbox to the broker."""


class DropParked(SettleRequest):
    """Delete parked messages and rows for good."""


class Settled(WireModel):
    """How many were replayed or dropped, and how many are still parked. Repeating a request settles nothing twice."""

    settled: int
    left: int


LIST_PARKED = Endpoint("/v1/operators/list-parked", ListParked, ParkedItems, Principal.OPERATOR)
SHOW_PARKED = Endpoint("/v1/operators/show-parked", ShowParked, ShownItem, Principal.OPERATOR)
REPLAY_PARKED = Endpoint("/v1/operators/replay-parked", ReplayParked, Settled, Principal.OPERATOR)
DROP_PARKED = Endpoint("/v1/operators/drop-parked", DropParked, Settled, Principal.OPERATOR)
