"""What the gateway can do, in our own words: each flow composes calls to the services that know."""

from gateway.flows.accounts import AccountFlows
from gateway.flows.grants import GrantFlows
from gateway.flows.numbers import NumberFlows
from gateway.flows.owners import OwnerFlows
from gateway.flows.services import Caller, Services
from gateway.flows.sessions import SessionFlows

__all__ = ["Caller", "Flows", "Services"]


class Flows(NumberFlows, AccountFlows, SessionFlows, GrantFlows, OwnerFlows):
    """Everything a dialect can ask for. Raises ``ServiceError``; the dialect says it in its own words."""
