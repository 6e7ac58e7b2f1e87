"""The proof in the body of a call that a session does not suffice for."""

from aiohttp import web

from gateway.flows.services import Proof
from gateway.http.request_parsing import read_unchecked_one_of
from gateway.native.requests import PasswordProof, TicketProof
from gateway.passwords import Password
from shared.errors import ErrorCode, ServiceError


async def read_proof(request: web.Request, with_password: type[PasswordProof], with_ticket: type[TicketProof]) -> Proof:
    """The proof in the body. An absent body, or one without a proof, is an empty proof, which the call refuses."""
    try:
        unchecked = await read_unchecked_one_of(request, with_password, with_ticket, may_be_empty=True)
    except ServiceError as error:
        if error.code is ErrorCode.PARAMETER_MISSING:
            return Proof()
        raise
    fields = unchecked.checked()
    if isinstance(fields, TicketProof):
        return Proof(ticket=fields.ticket)
    return Proof(Password.from_plain(fields.password))
