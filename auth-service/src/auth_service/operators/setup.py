"""Builds the objects of this room and puts them into the application."""

from aiohttp import web

from auth_service.erasure.erasure_store import ErasureStore
from auth_service.lifecycle.bans import Bans
from auth_service.lifecycle.bans_store import BansStore
from auth_service.operators import api
from auth_service.operators.account_store import AccountStore
from auth_service.operators.accounts import OperatorAccounts
from auth_service.operators.audit_reader_store import AuditReader
from auth_service.operators.login_limits_store import NumberLoginLimits
from auth_service.operators.request_log import RequestLog
from auth_service.operators.trail import Trail
from auth_service.resources import Resources
from shared.parked.setup import add_parked_outbox


def add_operators(app: web.Application, resources: Resources) -> None:
    """Add what operators ask of accounts."""
    pool, phones, wake = resources.pool, resources.phones, resources.wake
    reader = AuditReader(pool, phones)
    store = AccountStore(pool, reader, wake)
    bans = Bans(BansStore(pool, wake), phones)
    app[api.ACCOUNTS] = OperatorAccounts(store, bans, ErasureStore(pool, phones, wake))
    app[api.LOGIN_LIMITS] = NumberLoginLimits(pool, phones)
    app[api.TRAIL] = Trail(reader)
    add_parked_outbox(app, pool, wake)
    app[api.REQUEST_LOG] = RequestLog(resources.audit, phones)
