"""The internal API of operators about what is parked: each service serves it."""

from aiohttp import web

from shared.internal_api.calls import Calls
from shared.internal_api.operators.parked import (
    DROP_PARKED,
    LIST_PARKED,
    REPLAY_PARKED,
    SHOW_PARKED,
    DropParked,
    ListParked,
    ParkedItems,
    ReplayParked,
    Settled,
    ShownItem,
    ShowParked,
)
from shared.parked.items import ParkedDesk

PARKED: web.AppKey[ParkedDesk] = web.AppKey("parked", ParkedDesk)
calls = Calls()


@calls.answer(LIST_PARKED)
async def list_parked(app: web.Application, call: ListParked) -> ParkedItems:
    return await app[PARKED].list(call)


@calls.answer(SHOW_PARKED)
async def show_parked(app: web.Application, call: ShowParked) -> ShownItem:
    return await app[PARKED].show(call)


@calls.answer(REPLAY_PARKED)
async def replay_parked(app: web.Application, call: ReplayParked) -> Settled:
    return await app[PARKED].replay(call)


@calls.answer(DROP_PARKED)
async def drop_parked(app: web.Application, call: DropParked) -> Settled:
    return await app[PARKED].drop(call)
