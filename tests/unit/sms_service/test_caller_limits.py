"""What counts as one caller."""

from ipaddress import ip_address, ip_network

import pytest
from pydantic import ValidationError
from redis.asyncio import Redis

from shared.networks import CallerNetworks, RequestSource, network_of, site_of
from sms_service.callers.limits import DEFAULT_LIMITS, CallerLimitValues, Limit
from sms_service.callers.rate_limits import CallerRateLimits, key_of
from sms_service.settings import CallerSettings


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
    assert (
        key_of(networks.site, DEFAULT_LIMITS.address_sends, networks.address)
        == "{callers:203.0.113.0/24}:sends-address:203.0.113.7"
    )
    here, there = (CallerNetworks.of(ip_address(address)) for address in ("2001:db8:1:2::1", "2001:db8:1:1ff::1"))
    site, address = DEFAULT_LIMITS.site_sends, DEFAULT_LIMITS.address_sends
    keys = key_of(here.site, site, here.site), key_of(there.site, address, there.address)
    assert {key.partition("}")[0] for key in keys} == {"{callers:2001:db8:1::/48"}


def callers(limits: CallerLimitValues = DEFAULT_LIMITS) -> CallerRateLimits:
    return CallerRateLimits(Redis(), limits)


def test_incorrect_codes_count_on_the_user_or_the_site_and_on_the_app() -> None:
    address = ip_address("2001:db8:1:2::1")
    sources = (
        RequestSource(address),
        RequestSource(address, "shop"),
        RequestSource(None, "shop"),
        RequestSource(address, user_id=42),
        RequestSource(None, "shop", user_id=42),
    )
    assert [(callers().source_network(source), callers().source_app(source)) for source in sources] == [
        ("2001:db8:1::/48", None),
        ("2001:db8:1::/48", "app shop"),
        (None, "app shop"),
        ("user 42", None),
        ("user 42", None),
    ]


def test_callers_are_told_apart_by_their_place_also_where_nothing_is_charged_to_it() -> None:
    limits = CallerLimitValues(allow_list=(ip_network("203.0.113.0/30"),))
    sources = (RequestSource(ip_address("203.0.113.3")), RequestSource(None, "shop"), RequestSource(None, user_id=42))
    assert [callers(limits).place(source) for source in sources] == ["203.0.113.0/24", "app shop", "user 42"]


def test_a_check_from_the_allow_list_has_no_source_network() -> None:
    limits = CallerLimitValues(allow_list=(ip_network("203.0.113.0/30"), ip_network("2001:db8:1::/48")))
    addresses = ("203.0.113.3", "::ffff:203.0.113.3", "2001:db8:1:2::1", "203.0.113.4")
    found = [callers(limits).source_network(RequestSource(ip_address(address))) for address in addresses]
    assert found == [None, None, None, "203.0.113.0/24"]


def test_every_limit_is_a_setting_of_at_least_one() -> None:
    environ = {"ENVIRONMENT": "production"}
    assert CallerSettings.from_env(environ).caller_limit_values == DEFAULT_LIMITS
    assert CallerSettings(environment="development", caller_limits="off").caller_limit_values is None
    names = [name.upper() for name in CallerSettings.model_fields if "_per_" in name]
    assert len(names) == 14
    for name in names:
        with pytest.raises(ValidationError):
            CallerSettings.from_env({**environ, name: "0"})
    many = {**environ, **dict.fromkeys(names, "7"), "CALLER_ALLOW_LIST": "10.0.0.0/8, 2001:db8::1"}
    limits = CallerSettings.from_env(many).caller_limit_values
    assert limits is not None
    changed = [limit for limit in vars(limits).values() if isinstance(limit, Limit)]
    assert {limit.allowed for limit in changed} == {7}
    assert [limit.name for limit in changed] == [
        "sends-address",
        "sends-network",
        "sends-site",
        "number-sends",
        "lookups-minute",
        "lookups-hour",
        "lookups-network",
        "lookups-site",
        "sends-app",
        "lookups-app",
        "sends-user",
    ]
    assert limits.allow_list == (ip_network("10.0.0.0/8"), ip_network("2001:db8::1/128"))
