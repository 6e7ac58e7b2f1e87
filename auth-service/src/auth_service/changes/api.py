"""What the calls that change an account count on: each charges its user before it does anything."""

from aiohttp import web

from auth_service.changes.limit_store import ChangeLimit

CHANGE_LIMIT: web.AppKey[ChangeLimit] = web.AppKey("change_limit", ChangeLimit)
