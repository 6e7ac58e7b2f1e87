"""The limits on log-ins: which buckets count an attempt or a success, and how much each allows."""

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from auth_service.passwords.login_limits import DAY, HOUR, MINUTE, WINDOW, LimitsAround, LoginLimits
from auth_service.passwords.model import Bucket
from auth_service.settings import AuthSettings
from shared.networks import Networks, RequestSource, network_of

IPV4 = RequestSource(ip_address("203.0.113.7"))
IPV6 = RequestSource(ip_address("2001:db8:1:2ff::1"))


def limits(allow_list: Networks = ()) -> LoginLimits:
    return LoginLimits(10, 30, LimitsAround(100, 400, 1_000), 20, LimitsAround(600, 1_800, 6_000), allow_list)


def failures(source: RequestSource, allow_list: Networks = ()) -> set[Bucket]:
    return set(limits(allow_list).failure_buckets(-1, source))


NUMBER = "number ffffffffffffffff"
OF_ALL_NETWORKS = Bucket(NUMBER, 30, DAY, is_wide=True)
OF_IPV4 = {
    Bucket("network 203.0.113.0/24", 100, WINDOW, is_wide=True),
    Bucket(f"{NUMBER} 203.0.113.0/24", 10, WINDOW),
    OF_ALL_NETWORKS,
}


def test_the_default_limits_are_those_of_the_decision_record() -> None:
    failed = [f"caller_failed_logins_per_{name}" for name in ("number", "network", "site", "app", "number_day")]
    succeeded = [f"caller_logins_per_{name}_hour" for name in ("number", "network", "site", "app")]
    assert [AuthSettings.model_fields[name].default for name in failed] == [10, 300, 1_200, 3_000, 30]
    assert [AuthSettings.model_fields[name].default for name in succeeded] == [20, 600, 1_800, 6_000]


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


def test_a_bucket_refills_evenly() -> None:
    assert Bucket("a", 10, WINDOW).interval == timedelta(seconds=90)
    assert OF_ALL_NETWORKS.interval == timedelta(minutes=48)


def test_an_ipv4_attempt_counts_for_its_network_its_number_in_that_network_and_its_number() -> None:
    assert failures(IPV4) == OF_IPV4


def test_an_ipv6_attempt_also_counts_for_the_site_around_its_network() -> None:
    assert failures(IPV6) == {
        Bucket("network 2001:db8:1:200::/56", 100, WINDOW, is_wide=True),
        Bucket("network 2001:db8:1::/48", 400, WINDOW, is_wide=True),
        Bucket(f"{NUMBER} 2001:db8:1:200::/56", 10, WINDOW),
        Bucket(f"{NUMBER} 2001:db8:1::/48", 20, WINDOW, is_wide=True),
        OF_ALL_NETWORKS,
    }


@pytest.mark.parametrize(
    ("source", "network"),
    [
        (IPV4, "203.0.113.0/24"),
        (IPV6, "2001:db8:1:200::/56"),
        (RequestSource(IPV4.address, "shop"), "203.0.113.0/24"),
        (RequestSource(IPV6.address, "shop"), "2001:db8:1:200::/56"),
        (RequestSource(None, "shop"), "app shop"),
    ],
)
def test_only_what_one_network_fills_at_the_number_refuses_before_the_password_is_compared(
    source: RequestSource, network: str
) -> None:
    assert [bucket.name for bucket in failures(source) if not bucket.is_wide] == [f"{NUMBER} {network}"]


def test_an_address_in_the_allow_list_counts_for_its_numbers_only() -> None:
    allowed = (ip_network("203.0.113.7/32"), ip_network("2001:db8:1::/48"))
    mapped = RequestSource(ip_address("::ffff:203.0.113.7"))

    assert failures(IPV4, allowed) == {Bucket(f"{NUMBER} 203.0.113.0/24", 10, WINDOW), OF_ALL_NETWORKS}
    assert failures(mapped, allowed) == failures(IPV4, allowed)
    assert {bucket.name.split()[0] for bucket in failures(IPV6, allowed)} == {"number"}
    assert failures(RequestSource(ip_address("203.0.113.8")), allowed) == OF_IPV4


@pytest.mark.parametrize("source", [IPV4, IPV6, RequestSource(IPV6.address, "shop")])
def test_buckets_are_in_the_order_of_their_names_in_which_they_are_locked(source: RequestSource) -> None:
    for buckets in (limits().failure_buckets(0, source), limits().success_buckets(0, source, is_known=False)):
        names = [bucket.name for bucket in buckets]
        assert names == sorted(names)


def test_an_app_that_tells_no_address_counts_as_a_network_with_a_limit_of_its_own() -> None:
    assert failures(RequestSource(None, "shop")) == {
        Bucket("app shop", 1_000, WINDOW, is_wide=True),
        Bucket(f"{NUMBER} app shop", 10, WINDOW),
    }


def test_an_app_that_tells_addresses_counts_for_itself_and_for_the_network_of_its_user() -> None:
    assert failures(RequestSource(IPV4.address, "shop")) == {
        *OF_IPV4,
        Bucket("app shop", 1_000, WINDOW, is_wide=True),
        Bucket(f"{NUMBER} app shop", 100, WINDOW, is_wide=True),
    }


@pytest.mark.parametrize(("of", "network"), [(IPV4, "203.0.113.0/24"), (IPV6, "2001:db8:1:200::/56")])
def test_a_session_counts_for_its_number_from_its_network_and_in_all_sessions_only(
    of: RequestSource, network: str
) -> None:
    source = RequestSource(of.address, user_id=42)

    assert failures(source) == {
        Bucket(f"{NUMBER} {network}", 10, WINDOW),
        Bucket(f"{NUMBER} in sessions", 30, DAY, is_wide=True),
    }


def test_a_known_caller_that_succeeds_counts_on_the_number_alone() -> None:
    assert limits().success_buckets(-1, IPV6, is_known=True) == (Bucket(f"log-ins {NUMBER}", 20, HOUR),)


def test_other_callers_that_succeed_count_on_their_networks_and_their_app_too() -> None:
    assert set(limits().success_buckets(-1, RequestSource(IPV6.address, "shop"), is_known=False)) == {
        Bucket(f"log-ins {NUMBER}", 20, HOUR),
        Bucket("log-ins network 2001:db8:1:200::/56", 600, HOUR),
        Bucket("log-ins network 2001:db8:1::/48", 1_800, HOUR),
        Bucket("log-ins app shop", 6_000, HOUR),
    }


def test_look_ups_in_the_user_source_count_by_the_minute_on_network_site_and_app() -> None:
    here = RequestSource(IPV6.address, "shop")
    assert set(limits().look_up_buckets(here)) == {
        Bucket("look-ups network 2001:db8:1:200::/56", 30, MINUTE),
        Bucket("look-ups network 2001:db8:1::/48", 90, MINUTE),
        Bucket("look-ups app shop", 300, MINUTE),
    }
    assert limits((ip_network("203.0.113.0/24"),)).look_up_buckets(IPV4) == ()
    rare = LoginLimits(10, 30, LimitsAround(1, 1, 1), 20, LimitsAround(1, 1, 1))
    assert rare.look_up_buckets(IPV4) == (Bucket("look-ups network 203.0.113.0/24", 1, MINUTE),)
