"""Builds the objects of this room."""

from auth_service.erasure.erasure import Erasure
from auth_service.erasure.erasure_store import ErasureStore
from auth_service.erasure.fresh_proof import FreshProof
from auth_service.resources import Resources


def new_erasure(resources: Resources) -> Erasure:
    """The erasure of accounts over these resources."""
    return Erasure(
        _store(resources),
        fresh_proof=new_fresh_proof(resources),
        audit=resources.audit,
        phones=resources.phones,
        contexts=resources.contexts,
    )


def new_fresh_proof(resources: Resources) -> FreshProof:
    """The fresh proof over these resources, for this room and others."""
    return FreshProof(
        _store(resources),
        password_check=resources.password_check,
        tickets=resources.tickets,
        phones=resources.phones,
        contexts=resources.contexts,
        change_limits=resources.change_limit,
    )


def _store(resources: Resources) -> ErasureStore:
    return ErasureStore(resources.pool, resources.phones, resources.wake)
