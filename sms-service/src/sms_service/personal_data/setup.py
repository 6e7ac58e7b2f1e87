"""Builds the objects of this room and puts them into the application."""

from aiohttp import web
from pydantic import SecretStr

from shared.phone import PhoneKeys
from shared.postgres import Pool
from sms_service.personal_data import api
from sms_service.personal_data.store import PersonalDataStore


def provide_personal_data(app: web.Application, pool: Pool, phone_key: SecretStr) -> None:
    """Give an application what the calls of ``personal_data.api`` read."""
    phones = PhoneKeys(bytes.fromhex(phone_key.get_secret_value()))
    app[api.PERSONAL_DATA] = PersonalDataStore(pool, phones)
