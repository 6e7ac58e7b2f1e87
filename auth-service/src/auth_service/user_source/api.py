"""The internal API of this room: look a number up in the user source too."""

from aiohttp import web

from auth_service.user_source.look_up import LookUpInSource
from shared.internal_api.auth import LookedUp
from shared.internal_api.calls import Calls
from shared.internal_api.directory import LOOK_UP_ELSEWHERE, LookUpElsewhere

LOOK_UP_IN_SOURCE: web.AppKey[LookUpInSource] = web.AppKey("look_up_in_source", LookUpInSource)
calls = Calls()


@calls.answer(LOOK_UP_ELSEWHERE)
async def look_up_elsewhere(app: web.Application, call: LookUpElsewhere) -> LookedUp:
    return await app[LOOK_UP_IN_SOURCE].look_up(call)
