"""What calls that need no proof but a session count on, before they do anything."""

from aiohttp import web

from auth_service.changes.limit_store import ChangeLimit

CHANGE_LIMIT: web.AppKey[ChangeLimit] = web.AppKey("change_limit", ChangeLimit)
