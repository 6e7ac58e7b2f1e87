"""What counts as one caller."""

from ipaddress import ip_address

import pytest

from shared.networks import CallerNetworks, network_of, site_of
from sms_service.callers.rate_limits import ADDRESS_SENDS, SITE_SENDS, CallerRateLimits, key_of


@pytest.mark.parametrize(
    ("address", "subscriber", "network", "site"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.0/24", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.0/24", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"),
        ("2001:db8:1:1ff::1", "2001:db8:1:1ff::/64", "2001:db8:1:100::/56", "2001:db8:1::/48"),
    ],
)
def test_a_caller_is_an_address_in_a_network_in_a_site(address: str, subscriber: str, network: str, site: str) -> None:
    assert CallerNetworks.of(ip_address(address)) == CallerNetworks(subscriber, network, site)
    assert (network_of(ip_address(address)), site_of(ip_address(address))) == (network, site)


def test_all_keys_of_a_site_share_a_slot_of_a_cluster() -> None:
    networks = CallerNetworks.of(ip_address("203.0.113.7"))
    assert key_of(networks, ADDRESS_SENDS, networks.address) == "{callers:203.0.113.0/24}:sends-address:203.0.113.7"
    here, there = (CallerNetworks.of(ip_address(address)) for address in ("2001:db8:1:2::1", "2001:db8:1:1ff::1"))
    keys = key_of(here, SITE_SENDS, here.site), key_of(there, ADDRESS_SENDS, there.address)
    assert {key.partition("}")[0] for key in keys} == {"{callers:2001:db8:1::/48"}


def test_a_check_without_an_address_has_no_source_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CallerRateLimits, "__init__", lambda _: None)
    callers = CallerRateLimits()  # type: ignore[call-arg]
    assert callers.source_network(None) is None
    assert callers.source_network(ip_address("2001:db8:1:2::1")) == "2001:db8:1::/48"
