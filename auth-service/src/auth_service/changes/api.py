"""Reading the requests of users who change their account: each counts on its user."""

from typing import TypeVar

from aiohttp import web

from auth_service.changes.limit_store import ChangeLimit
from shared.internal_api.auth import ChangePassword, ChangePhone, ChangeProfile, EndOthers, EndSession, Erase
from shared.internal_api.endpoint import Endpoint, WireModel
from shared.internal_api.server import read

CHANGE_LIMIT: web.AppKey[ChangeLimit] = web.AppKey("change_limit", ChangeLimit)

ChangeT = TypeVar("ChangeT", ChangeProfile, ChangePassword, ChangePhone, EndSession, EndOthers, Erase)
ResponseT = TypeVar("ResponseT", bound=WireModel)


async def read_change(request: web.Request, endpoint: Endpoint[ChangeT, ResponseT]) -> ChangeT:
    """As ``read``, and count the change on its user. Raises ``ServiceError``: ``CALLER_LIMIT`` too."""
    change = await read(request, endpoint)
    await request.app[CHANGE_LIMIT].charge(change.user_id)
    return change
