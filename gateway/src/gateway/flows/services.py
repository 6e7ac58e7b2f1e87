"""What the flows work with: the services they call, the caller on whose behalf they act, and the caller's proof."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Protocol, Self, TypeVar

from gateway.flows.registered_numbers import RegisteredNumbers
from gateway.flows.session_cache import Session, SessionCache
from gateway.passwords import Password
from shared.internal_api.auth import ProvenRequest
from shared.internal_api.endpoint import Address, Endpoint, WireModel
from shared.internal_api.sms import Language
from shared.values import value

RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)
ProvenT = TypeVar("ProvenT", bound=ProvenRequest)


class Client(Protocol):
    """One of the other services. ``shared.internal_api`` declares its endpoints."""

    async def call(self, endpoint: Endpoint[RequestT, ResponseT], request: RequestT) -> ResponseT: ...


@value
class Caller:
    """The source of a request: its address, dialect and client, and the sending rules of that dialect.

    ``cooldown`` is in seconds. ``language`` is the one the caller prefers among those we write, if any. ``app`` is the
    app whose server sent the request; its ``address`` is None unless that server told it. ``user_id`` is the user whose
    session the call needs: limits count the call on them. ``tokens`` may be tokens of living sessions, which make the
    caller known to the number of their account.
    """

    address: Address | None
    dialect: str
    client: str
    cooldown: int
    daily_cap: int
    language: Language | None = None
    allow_master_code: bool = False
    app: str = ""
    user_id: int | None = None
    tokens: tuple[str, ...] = field(default=(), repr=False)

    def logged_in(self, session: Session) -> Self:
        """The same caller in a call that needs a session."""
        return replace(self, user_id=session.account.user_id)


@dataclass(frozen=True)
class Proof:
    """What shows that a user who is logged in is there now: their password, or the ticket of a code. Empty: nothing."""

    password: Password | None = None
    ticket: str | None = field(default=None, repr=False)

    def request(self, model: type[ProvenT], caller: Caller, session: Session) -> ProvenT:
        """A request of the user of a session, with this proof."""
        return model(
            user_id=session.account.user_id,
            phone=session.account.phone,
            secret=None if self.password is None else self.password.secret,
            plain=None if self.password is None else self.password.plain_to_send,
            ticket=self.ticket,
            address=caller.address,
            app=caller.app,
            dialect=caller.dialect,
            client=caller.client,
        )


@dataclass(frozen=True)
class Services:
    """The other services, and what the gateway remembers of their responses.

    ``common_secrets`` are the secrets of passwords that are refused as new ones.
    """

    auth: Client
    sms: Client
    contacts: Client
    registered: RegisteredNumbers
    sessions: SessionCache
    common_secrets: Collection[str]
