"""The limits on failed log-ins: which counters an attempt has, and how many failures each allows."""

from ipaddress import ip_address

import pytest

from auth_service.passwords import failure_limits
from auth_service.passwords.failure_limits import buckets, network_of
from auth_service.passwords.model import Bucket


def test_the_limits_are_those_of_the_decision_record() -> None:
    assert (failure_limits.MAX_PER_NUMBER, failure_limits.MAX_PER_NETWORK) == (10, 100)
    assert (failure_limits.MAX_PER_NUMBER_IN_SITE, failure_limits.MAX_PER_SITE) == (20, 400)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("203.0.113.0", "203.0.113.0/24"),
        ("203.0.114.0", "203.0.114.0/24"),
        ("2001:db8:1:2ff::1", "2001:db8:1:200::/56"),
        ("2001:db8:1:300::", "2001:db8:1:300::/56"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
    ],
)
def test_an_address_counts_for_its_network(address: str, network: str) -> None:
    assert network_of(ip_address(address)) == network


def test_an_ipv4_attempt_counts_for_its_network_and_for_its_number_in_that_network() -> None:
    assert buckets(-1, "203.0.113.0/24") == (
        Bucket("network 203.0.113.0/24", 100),
        Bucket("number ffffffffffffffff 203.0.113.0/24", 10),
    )


def test_an_ipv6_attempt_also_counts_for_the_site_around_its_network() -> None:
    assert set(buckets(-1, "2001:db8:1:200::/56")) == {
        Bucket("network 2001:db8:1:200::/56", 100),
        Bucket("network 2001:db8:1::/48", 400),
        Bucket("number ffffffffffffffff 2001:db8:1:200::/56", 10),
        Bucket("number ffffffffffffffff 2001:db8:1::/48", 20),
    }


def test_no_counter_covers_a_number_alone() -> None:
    for network in ("203.0.113.0/24", "2001:db8:1:200::/56"):
        assert all("/" in bucket.name for bucket in buckets(7, network))


@pytest.mark.parametrize("network", ["2001:db8:0:ff00::/56", "2001:db8:1:200::/56", "203.0.113.0/24"])
def test_counters_are_in_the_order_of_their_names_in_which_they_are_locked(network: str) -> None:
    names = [bucket.name for bucket in buckets(0, network)]

    assert names == sorted(names)
