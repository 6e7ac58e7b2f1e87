"""Which counters a log-in is charged to."""

from ipaddress import ip_address

import pytest

from auth_service.passwords.failure_limits import (
    PER_NETWORK,
    PER_NUMBER,
    PER_NUMBER_IN_SITE,
    PER_SITE,
    buckets,
    network_of,
)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2ff::1", "2001:db8:1:200::/56"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
    ],
)
def test_an_address_counts_for_its_network(address: str, network: str) -> None:
    assert network_of(ip_address(address)) == network


def test_a_number_is_counted_within_a_network_and_the_network_as_a_whole() -> None:
    network, number = buckets(-1, "203.0.113.0/24")

    assert (network.name, network.most) == ("network 203.0.113.0/24", PER_NETWORK)
    assert (number.name, number.most) == ("number ffffffffffffffff 203.0.113.0/24", PER_NUMBER)


def test_the_site_around_an_ipv6_network_is_counted_too() -> None:
    charged = {bucket.name: bucket.most for bucket in buckets(-1, "2001:db8:1:200::/56")}

    assert charged == {
        "network 2001:db8:1:200::/56": PER_NETWORK,
        "network 2001:db8:1::/48": PER_SITE,
        "number ffffffffffffffff 2001:db8:1:200::/56": PER_NUMBER,
        "number ffffffffffffffff 2001:db8:1::/48": PER_NUMBER_IN_SITE,
    }


def test_counters_are_named_in_the_order_in_which_they_are_locked() -> None:
    names = [bucket.name for bucket in buckets(0, "2001:db8:0:ff00::/56")]

    assert names == sorted(names)
