"""The internal API of operators about what is parked: each service serves it."""

from aiohttp import web

from shared.internal_api.parked import DROP_PARKED, LIST_PARKED, REPLAY_PARKED, SHOW_PARKED
from shared.internal_api.server import read, reply
from shared.parked.items import ParkedDesk

PARKED: web.AppKey[ParkedDesk] = web.AppKey("parked", ParkedDesk)
routes = web.RouteTableDef()


@routes.post(LIST_PARKED.path)
async def list_parked(request: web.Request) -> web.Response:
    call = await read(request, LIST_PARKED)
    return reply(await request.app[PARKED].list(call))


@routes.post(SHOW_PARKED.path)
async def show_parked(request: web.Request) -> web.Response:
    call = await read(request, SHOW_PARKED)
    return reply(await request.app[PARKED].show(call))


@routes.post(REPLAY_PARKED.path)
async def replay_parked(request: web.Request) -> web.Response:
    call = await read(request, REPLAY_PARKED)
    return reply(await request.app[PARKED].replay(call))


@routes.post(DROP_PARKED.path)
async def drop_parked(request: web.Request) -> web.Response:
    call = await read(request, DROP_PARKED)
    return reply(await request.app[PARKED].drop(call))
