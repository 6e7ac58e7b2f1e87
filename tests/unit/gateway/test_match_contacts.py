"""The members of an address book, as contacts-service wrote them: read for some contracts, passed on for others."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from support.accounts import account

from gateway.flows.codes import CodeFlows
from gateway.flows.self_service import SelfServiceFlows
from gateway.flows.services import Services
from gateway.flows.session_cache import Session
from shared.internal_api.contacts import MATCH, Match, Matched
from shared.internal_api.endpoint import AnyEndpoint
from shared.phone import E164

MATCHED = Matched(
    matches=[{"phone": "138 0013 8000", "user_id": 2, "nickname": "Ada “Lovelace”", "avatar": ""}], budget_left=4_999
)
ACCOUNT = account(phone=E164("+8613900139000"))
SESSION = Session(session_id=UUID(int=1), account=ACCOUNT)


@dataclass
class Contacts:
    """contacts-service, which answers every call with one body."""

    body: bytes
    calls: list[tuple[str, Match]] = field(default_factory=list)

    async def call(self, endpoint: AnyEndpoint, request: Match) -> Any:
        self.calls.append((endpoint.path, request))
        return endpoint.response.from_json(self.body)


@pytest.fixture
def contacts() -> Contacts:
    return Contacts(MATCHED.to_json())


@pytest.fixture
def flows(contacts: Contacts) -> SelfServiceFlows:
    return SelfServiceFlows(cast("Services", SimpleNamespace(contacts=contacts)), cast("CodeFlows", None))


async def test_the_members_can_be_passed_on_byte_by_byte_or_read(flows: SelfServiceFlows) -> None:
    assert await flows.match_contacts_unread(SESSION, ["13800138000"]) == MATCHED.to_json()
    assert await flows.match_contacts(SESSION, ["13800138000"]) == MATCHED


async def test_both_make_the_same_call_with_the_same_entries(flows: SelfServiceFlows, contacts: Contacts) -> None:
    await flows.match_contacts(SESSION, ["13800138000", 13900139001])
    await flows.match_contacts_unread(SESSION, ["13800138000", 13900139001])

    first, second = contacts.calls
    assert first == second
    assert first == (
        MATCH.path,
        Match(user_id=ACCOUNT.user_id, own_phone=ACCOUNT.phone, phones=["13800138000", "13900139001"]),
    )
