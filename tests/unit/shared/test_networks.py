"""References of networks and marks of numbers: keyed, stable, and different for what differs."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from random import Random

import pytest

from shared.networks import CallerNetworks, NetworkKey, RequestSource
from shared.phone import E164, PhoneKeys

KEY = NetworkKey(bytes(32))


def ref(address: str) -> int:
    return KEY.ref(RequestSource(ip_address(address)))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.250", True),
        ("203.0.113.7", "203.0.114.7", False),
        ("203.0.113.7", "::ffff:203.0.113.9", True),
        ("2001:db8:1:200::1", "2001:db8:1:2ff::9", True),
        ("2001:db8:1:200::1", "2001:db8:1:300::1", False),
    ],
)
def test_a_reference_is_that_of_the_network_around_an_address(one: str, other: str, same: bool) -> None:
    assert (ref(one) == ref(other)) is same
    assert -(2**63) <= ref(one) < 2**63


def test_an_app_whose_server_tells_no_address_has_a_reference_of_its_own() -> None:
    shop, other = (KEY.ref(RequestSource(None, app)) for app in ("shop", "other"))
    assert len({shop, other, ref("203.0.113.7")}) == 3
    assert KEY.ref(RequestSource(ip_address("203.0.113.7"), "shop")) == ref("203.0.113.7")


def test_another_key_gives_another_reference() -> None:
    assert NetworkKey(b"1" * 32).ref(RequestSource(ip_address("203.0.113.7"))) != ref("203.0.113.7")


def test_a_mark_of_a_number_is_not_its_reference_nor_that_of_another() -> None:
    phones, number = PhoneKeys(bytes(32)), E164("+8613800138000")
    mark = phones.mark(number)
    assert len(mark) == 16
    assert mark == phones.mark(number)
    assert mark != phones.mark(E164("+8613800138001"))
    assert phones.ref(number).to_bytes(8, "big", signed=True) not in mark
    assert mark != PhoneKeys(b"1" * 32).mark(number)


@pytest.mark.parametrize("seed", range(200))
def test_networks_are_written_as_python_writes_them(seed: int) -> None:
    draw = Random(seed)
    groups = [draw.choice((0, 0, 1, 0xFFFF, draw.getrandbits(16))) for _ in range(7)]
    address = IPv6Address(int.from_bytes(b"".join(group.to_bytes(2, "big") for group in (0x2001, *groups)), "big"))
    written = [str(ip_network((address, prefix), strict=False)) for prefix in (64, 56, 48)]
    assert CallerNetworks.of(address) == CallerNetworks(*written)
    plain = IPv4Address(draw.getrandbits(32))
    assert CallerNetworks.of(plain).network == str(ip_network((plain, 24), strict=False))
