"""Every guess at a code says where it comes from: sms-service counts wrong ones by network."""

from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from gateway.flows.grants import GrantFlows
from gateway.flows.numbers import NumberFlows
from gateway.flows.services import Caller, Services
from shared.internal_api.sms import CheckCode, CodeChecked, Purpose
from shared.phone import E164

NUMBER = E164("+8613800138000")
CALLER = Caller(ip_address("203.0.113.7"), "native", "test", 60, 10)


class Sms:
    """Remembers what was asked; every code is right."""

    def __init__(self) -> None:
        self.asked: list[CheckCode] = []

    async def check(self, call: CheckCode) -> CodeChecked:
        self.asked.append(call)
        return CodeChecked(ticket="ticket", expires_in=600)


async def unregistered(_: object) -> bool:
    return False


@pytest.mark.parametrize("way", ["ticket", "verify_sign_up", "by number", "by verification"])
async def test_a_guess_carries_the_address_of_its_caller(way: str) -> None:
    sms = Sms()
    rest: dict[str, Any] = dict.fromkeys(("contacts", "sessions", "seal"))
    services = Services(auth=SimpleNamespace(is_registered=unregistered), sms=sms, served_calling_codes=("86",), **rest)  # type: ignore[arg-type]
    match way:
        case "ticket":
            await services.ticket(CALLER, NUMBER, Purpose.SIGN_UP, "123456")
        case "verify_sign_up":
            await NumberFlows(services).verify_sign_up(CALLER, NUMBER, "123456")
        case "by number":
            await GrantFlows(services).check_code(CALLER, Purpose.SIGN_IN, "123456", NUMBER)
        case _:
            await GrantFlows(services).check_code(CALLER, Purpose.SIGN_IN, "123456", UUID(int=1))
    assert [call.address for call in sms.asked] == [CALLER.address]
