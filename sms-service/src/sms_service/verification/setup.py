"""The rules of codes with what they need, built for the API process."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from aiohttp import web

from shared.background import repeating
from shared.postgres import Pool
from sms_service.callers.failure_budget import INTERVAL_SECONDS, FailureBudget
from sms_service.keys import KeySettings, secrets_of
from sms_service.verification import api, code_checker, code_issuer
from sms_service.verification.audit_recorder import AuditRecorder
from sms_service.verification.store import VerificationStore
from sms_service.verification.test_numbers import TestNumbers


class CodeSettings(KeySettings, Protocol):
    """The settings that hold keys, the limits on incorrect codes, and the switches for development."""

    @property
    def caller_wrong_codes_per_hour(self) -> int: ...
    @property
    def caller_wrong_codes_per_network_hour(self) -> int: ...
    @property
    def caller_wrong_codes_per_app_hour(self) -> int: ...

    @property
    def reveal_codes(self) -> bool: ...
    @property
    def master_code(self) -> str | None: ...


class SpendingGuard(code_issuer.SpendingGuard, code_checker.PrefixCounting, Protocol):
    """Limits on spending, for requests and for checks."""


def provide_codes(
    app: web.Application,
    settings: CodeSettings,
    pool: Pool,
    relay: code_issuer.Relay,
    *,
    callers: code_issuer.CallerLimits,
    test_numbers: TestNumbers,
    spending_guard: SpendingGuard,
) -> VerificationStore:
    """Give an application the issuer and the checker that the routes of ``verification.api`` call.

    Returns their store, whose failures ``counting_failures`` counts.
    """
    budget = FailureBudget(settings.caller_wrong_codes_per_network_hour, settings.caller_wrong_codes_per_hour)
    store = VerificationStore(pool, budget, settings.caller_wrong_codes_per_app_hour)
    secrets = secrets_of(settings)
    audit = AuditRecorder(store, relay.wake)
    app[api.ISSUER] = code_issuer.CodeIssuer(
        store,
        callers,
        secrets,
        audit,
        relay,
        test_numbers=test_numbers,
        spending_guard=spending_guard,
        reveal_codes=settings.reveal_codes,
    )
    app[api.CHECKER] = code_checker.CodeChecker(
        store,
        callers,
        secrets,
        audit,
        relay.wake,
        test_numbers=test_numbers,
        prefix_counting=spending_guard,
        master_code=settings.master_code,
    )
    return store


def counting_failures(store: VerificationStore) -> AbstractAsyncContextManager[None]:
    """Count the incorrect codes over all numbers every few seconds, until the end of the block."""
    return repeating("failure-budget", INTERVAL_SECONDS, store.count_failures)
