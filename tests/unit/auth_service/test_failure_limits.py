"""The limits on failed log-ins: which counters an attempt has, and how many failures each allows."""

from ipaddress import ip_address, ip_network

import pytest

from auth_service.passwords.failure_limits import FailureLimits
from auth_service.passwords.model import Bucket
from auth_service.settings import AuthSettings
from shared.networks import RequestSource, network_of

LIMITS = FailureLimits(10, 100, 400, 1_000)


def buckets(phone_ref: int, address: str, limits: FailureLimits = LIMITS) -> tuple[Bucket, ...]:
    return limits.buckets(phone_ref, RequestSource(ip_address(address)))


def test_the_default_limits_are_those_of_the_decision_record() -> None:
    names = ("number", "network", "site", "app")
    defaults = [AuthSettings.model_fields[f"caller_failed_logins_per_{name}"].default for name in names]
    assert defaults == [10, 300, 1_200, 3_000]


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
    assert buckets(-1, "203.0.113.7") == (
        Bucket("network 203.0.113.0/24", 100),
        Bucket("number ffffffffffffffff 203.0.113.0/24", 10),
    )


def test_an_ipv6_attempt_also_counts_for_the_site_around_its_network() -> None:
    assert set(buckets(-1, "2001:db8:1:2ff::1")) == {
        Bucket("network 2001:db8:1:200::/56", 100),
        Bucket("network 2001:db8:1::/48", 400),
        Bucket("number ffffffffffffffff 2001:db8:1:200::/56", 10),
        Bucket("number ffffffffffffffff 2001:db8:1::/48", 20),
    }


def test_no_counter_covers_a_number_alone() -> None:
    for address in ("203.0.113.7", "2001:db8:1:200::1"):
        assert all("/" in bucket.name for bucket in buckets(7, address))


def test_an_address_in_the_allow_list_counts_for_its_numbers_only() -> None:
    allowed = FailureLimits(10, 100, 400, 1_000, (ip_network("203.0.113.7/32"), ip_network("2001:db8:1::/48")))

    assert buckets(-1, "203.0.113.7", allowed) == (Bucket("number ffffffffffffffff 203.0.113.0/24", 10),)
    assert buckets(-1, "::ffff:203.0.113.7", allowed) == buckets(-1, "203.0.113.7", allowed)
    assert {bucket.name.split()[0] for bucket in buckets(-1, "2001:db8:1:200::1", allowed)} == {"number"}
    assert buckets(-1, "203.0.113.8", allowed) == buckets(-1, "203.0.113.8")


@pytest.mark.parametrize("address", ["2001:db8:0:ff00::1", "2001:db8:1:200::1", "203.0.113.7"])
def test_counters_are_in_the_order_of_their_names_in_which_they_are_locked(address: str) -> None:
    names = [bucket.name for bucket in buckets(0, address)]

    assert names == sorted(names)


def test_an_app_that_tells_no_address_counts_as_a_network_with_a_limit_of_its_own() -> None:
    assert LIMITS.buckets(-1, RequestSource(None, "shop")) == (
        Bucket("app shop", 1_000),
        Bucket("number ffffffffffffffff app shop", 10),
    )


def test_an_app_that_tells_addresses_counts_for_itself_and_for_the_network_of_its_user() -> None:
    alone = buckets(-1, "203.0.113.7")

    assert set(LIMITS.buckets(-1, RequestSource(ip_address("203.0.113.7"), "shop"))) == {
        *alone,
        Bucket("app shop", 1_000),
        Bucket("number ffffffffffffffff app shop", 100),
    }


def test_a_logged_in_user_counts_for_their_number_only() -> None:
    source = RequestSource(ip_address("203.0.113.7"), user_id=42)

    assert LIMITS.buckets(-1, source) == (Bucket("number ffffffffffffffff 203.0.113.0/24", 10),)
