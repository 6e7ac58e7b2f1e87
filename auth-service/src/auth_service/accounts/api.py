"""The internal API of this room: compare the accounts with a copy of them."""

from aiohttp import web

from auth_service.accounts.comparison import UserComparison
from shared.internal_api.calls import Calls
from shared.internal_api.directory import COMPARE_USERS, FIND_USERS, ComparedUsers, CompareUsers, FindUsers, FoundUsers

USER_COMPARISON: web.AppKey[UserComparison] = web.AppKey("user_comparison", UserComparison)
calls = Calls()


@calls.answer(COMPARE_USERS)
async def compare_users(app: web.Application, call: CompareUsers) -> ComparedUsers:
    return await app[USER_COMPARISON].compare(call)


@calls.answer(FIND_USERS)
async def find_users(app: web.Application, call: FindUsers) -> FoundUsers:
    return FoundUsers(users=list(await app[USER_COMPARISON].find(call.user_ids)))
