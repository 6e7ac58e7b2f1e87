"""Builds the user source, or what stands for none."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TypeAlias

from aiohttp import web

from auth_service.audit import Operator
from auth_service.clock import utc_now
from auth_service.importing.candidates import CandidateReader, Countries, LegacyMarks
from auth_service.importing.importer import CandidateImport
from auth_service.importing.refusal_time import RefusalTimes
from auth_service.importing.setup import Hashing
from auth_service.importing.store import ImportStore
from auth_service.lifecycle import api as lifecycle
from auth_service.passwords.login_limit_store import LoginLimitStore
from auth_service.passwords.own_format import OwnFormat
from auth_service.resources import Resources, login_limits
from auth_service.sessions.token_digests import TokenDigests
from auth_service.settings import AuthSettings
from auth_service.user_source import api
from auth_service.user_source.absence_marks import AbsenceMarks
from auth_service.user_source.absence_store import AbsenceStore
from auth_service.user_source.arrival import Arrival
from auth_service.user_source.guarded_source import FAILURES, OPEN_SECONDS, GuardedSource
from auth_service.user_source.look_up import LookUpInSource
from auth_service.user_source.request_rate import RequestRate
from auth_service.user_source.source_client import SourceClient
from auth_service.user_source.user_source import NoUserSource, UserSource
from shared.keys import KeyRing
from shared.outbound.circuit_breaker import CircuitBreaker

OPERATOR = Operator("hook", "USER_SOURCE_URL")
"""Who imports, for the audit trail."""

AnyUserSource: TypeAlias = UserSource | NoUserSource


@asynccontextmanager
async def open_user_source(settings: AuthSettings, resources: Resources) -> AsyncIterator[AnyUserSource]:
    """The user source of the settings until the block ends. Without ``USER_SOURCE_URL`` it costs nothing."""
    url, secrets = settings.user_source_url, settings.user_source_secret
    if url is None or secrets is None:
        yield NoUserSource()
        return
    arrival = await _new_arrival(settings, resources)
    async with SourceClient.open(url, secrets.get_secret_value(), settings.user_source_seconds) as client:
        user_source = UserSource(
            GuardedSource(client, RequestRate(settings.user_source_per_second), CircuitBreaker(FAILURES, OPEN_SECONDS)),
            AbsenceStore(resources.pool, settings.user_source_absent_seconds),
            arrival,
            AbsenceMarks(_phone_key(settings)),
            resources.phones,
            looks_up_all=settings.user_source_look_up_seconds > 0,
        )
        async with aclosing(user_source):
            yield user_source


async def _new_arrival(settings: AuthSettings, resources: Resources) -> Arrival:
    hashing = Hashing(resources.passwords)
    marks, digests = LegacyMarks(_phone_key(settings)), TokenDigests(_phone_key(settings))
    refusal_time = RefusalTimes(settings.password_refusal_seconds, await hashing.seconds())

    own_format = OwnFormat(KeyRing.parse(settings.password_peppers.get_secret_value()))

    def reader_for(countries: Countries) -> CandidateReader:
        return CandidateReader(
            phones=resources.phones,
            marks=marks,
            countries=countries,
            refusal_time=refusal_time,
            own_format=own_format,
            digests=digests,
            now=utc_now,
        )

    store = ImportStore(resources.pool, resources.phones, settings.nickname_prefix, OPERATOR)
    return Arrival(CandidateImport(store, hashing.wrap_all), reader_for, resources.wake)


def add_look_up(app: web.Application, resources: Resources, user_source: AnyUserSource, settings: AuthSettings) -> None:
    """Add the look-up of numbers that the user source may have. Registration is there already."""
    app[api.LOOK_UP_IN_SOURCE] = LookUpInSource(
        user_source,
        LoginLimitStore(resources.pool),
        login_limits(settings),
        look_up_here=app[lifecycle.REGISTRATION].look_up,
        seconds=settings.user_source_look_up_seconds,
    )


def _phone_key(settings: AuthSettings) -> bytes:
    return bytes.fromhex(settings.phone_key.get_secret_value())
