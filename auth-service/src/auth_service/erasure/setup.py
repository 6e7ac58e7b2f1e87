"""Builds the objects of this room."""

from auth_service.erasure.erasure import Erasure
from auth_service.erasure.erasure_store import ErasureStore
from auth_service.erasure.fresh_proof import FreshProof
from auth_service.resources import Resources


def new_erasure(resources: Resources) -> Erasure:
    """The erasure of accounts over these resources."""
    phones = resources.phones
    store = ErasureStore(resources.pool, phones, resources.wake)
    fresh_proof = FreshProof(store, password_check=resources.password_check, tickets=resources.tickets, phones=phones)
    return Erasure(store, fresh_proof=fresh_proof, audit=resources.audit, phones=phones, contexts=resources.contexts)
