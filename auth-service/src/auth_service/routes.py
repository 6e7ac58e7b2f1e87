"""The internal API of auth-service: the modules of all rooms that have calls."""

from auth_service.accounts import api as accounts
from auth_service.lifecycle import api as lifecycle
from auth_service.number_lists import api as number_lists
from auth_service.operators import api as operators
from auth_service.personal_data import api as personal_data
from auth_service.sessions import api as sessions
from auth_service.tickets import api as tickets
from auth_service.tokens import api as tokens
from auth_service.user_source import api as user_source
from shared.parked import api as parked

APIS = (lifecycle, accounts, number_lists, sessions, tickets, tokens, user_source, operators, personal_data, parked)
