"""Builds the objects of this room and puts them into the application."""

from aiohttp import web

from auth_service.erasure.setup import new_fresh_proof
from auth_service.personal_data import api
from auth_service.personal_data.personal_data import PersonalData
from auth_service.personal_data.store import PersonalDataStore
from auth_service.resources import Resources


def add_personal_data(app: web.Application, resources: Resources) -> None:
    """Add what users are given of their own data."""
    app[api.PERSONAL_DATA] = PersonalData(
        PersonalDataStore(resources.pool, resources.phones),
        fresh_proof=new_fresh_proof(resources),
        audit=resources.audit,
        phones=resources.phones,
        contexts=resources.contexts,
    )
