"""All flows of the gateway, composed from the services."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.flows.accounts import AccountFlows
from gateway.flows.busy_hold import BusyHold
from gateway.flows.codes import CodeFlows
from gateway.flows.disclosure import AccountDisclosure
from gateway.flows.number_filter.number_filter import NumberFilter
from gateway.flows.numbers import NumberFlows
from gateway.flows.personal_data.export import PersonalDataFlows
from gateway.flows.registered_numbers import KnownNumbers, RegisteredNumbers
from gateway.flows.sealed_number import NumberSeal
from gateway.flows.self_service import SelfServiceFlows
from gateway.flows.services import Client, Services
from gateway.flows.session_cache import SessionCache
from gateway.flows.sessions import SessionFlows
from gateway.flows.tokens import TokenFlows
from gateway.passwords import load_common_secrets
from shared.keys import KeyRing


@dataclass(frozen=True)
class Flows:
    """What a dialect can call. Flows raise ``ServiceError``, which the dialect renders."""

    numbers: NumberFlows
    codes: CodeFlows
    accounts: AccountFlows
    sessions: SessionFlows
    tokens: TokenFlows
    self_service: SelfServiceFlows
    personal_data: PersonalDataFlows


def compose_flows(
    *,
    auth: Client,
    sms: Client,
    contacts: Client,
    seal_keys: KeyRing,
    served_calling_codes: Collection[str],
    refuse_common_passwords: bool,
    account_disclosure: AccountDisclosure = AccountDisclosure.CONTRACT,
    number_filter: KnownNumbers | None = None,
) -> Flows:
    common_secrets = load_common_secrets() if refuse_common_passwords else ()
    registered = RegisteredNumbers(auth, number_filter)
    services = Services(BusyHold(auth), sms, contacts, registered, SessionCache(), common_secrets)
    sessions = SessionFlows(services)
    codes = CodeFlows(services, sessions, account_disclosure)
    return Flows(
        numbers=NumberFlows(NumberSeal(seal_keys), served_calling_codes),
        codes=codes,
        accounts=AccountFlows(services, codes),
        sessions=sessions,
        tokens=TokenFlows(services, sessions),
        self_service=SelfServiceFlows(services, codes),
        personal_data=PersonalDataFlows(services),
    )


@asynccontextmanager
async def running_number_filter(auth: Client, disclosure: AccountDisclosure) -> AsyncIterator[NumberFilter | None]:
    """The filter of registered numbers, which is kept up to date until the end of the block.

    There is none where accounts are disclosed only after proof: the time that it saves would tell which numbers have
    none.
    """
    if disclosure is not AccountDisclosure.CONTRACT:
        yield None
        return
    number_filter = NumberFilter(auth)
    async with number_filter.running():
        yield number_filter
