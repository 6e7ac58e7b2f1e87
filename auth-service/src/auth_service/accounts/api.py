"""The internal API of this room: compare the accounts with a copy of them."""

from aiohttp import web

from auth_service.accounts.comparison import UserComparison
from shared.internal_api.directory import COMPARE_USERS, FIND_USERS, FoundUsers
from shared.internal_api.server import read, reply

USER_COMPARISON: web.AppKey[UserComparison] = web.AppKey("user_comparison", UserComparison)
routes = web.RouteTableDef()


@routes.post(COMPARE_USERS.path)
async def compare_users(request: web.Request) -> web.Response:
    call = await read(request, COMPARE_USERS)
    return reply(await request.app[USER_COMPARISON].compare(call))


@routes.post(FIND_USERS.path)
async def find_users(request: web.Request) -> web.Response:
    call = await read(request, FIND_USERS)
    return reply(FoundUsers(users=list(await request.app[USER_COMPARISON].find(call.user_ids))))
