"""How often callers may request codes and look numbers up: the defaults, which settings change."""

from dataclasses import dataclass

from shared.networks import Networks

DAY = 86_400
HOUR = 3600
MINUTE = 60


@dataclass(frozen=True)
class Limit:
    """``allowed`` calls at once, refilled evenly over ``period`` seconds (GCRA)."""

    name: str
    allowed: int
    period: int


@dataclass(frozen=True)
class CallerLimitValues:
    """The limits on callers by address, network, site, app and user, and the networks that have none of these.

    Decisions 44 and 50 give the reasons for the defaults.
    """

    address_sends: Limit = Limit("sends-address", 120, HOUR)
    network_sends: Limit = Limit("sends-network", 600, HOUR)
    site_sends: Limit = Limit("sends-site", 1800, HOUR)
    number_sends: Limit = Limit("number-sends", 4, DAY)
    """From one site to one number: far below the number's own cap, so one place cannot use that cap up."""
    lookups_minute: Limit = Limit("lookups-minute", 60, MINUTE)
    lookups_hour: Limit = Limit("lookups-hour", 600, HOUR)
    network_lookups: Limit = Limit("lookups-network", 3_000, HOUR)
    site_lookups: Limit = Limit("lookups-site", 9_000, HOUR)
    app_sends: Limit = Limit("sends-app", 6_000, HOUR)
    app_lookups: Limit = Limit("lookups-app", 30_000, HOUR)
    user_sends: Limit = Limit("sends-user", 10, HOUR)
    """By a logged-in user, who asks for codes to change their number."""
    allow_list: Networks = ()


KEPT_SHARE = 2
"""Callers who are known to the number they ask for have half as much again as an address, a network and a site."""


def kept_for_known(limit: Limit) -> Limit:
    """What is left for callers who are known to the number when strangers have used a limit on their place up."""
    return Limit(f"known-{limit.name}", max(1, limit.allowed // KEPT_SHARE), limit.period)


DEFAULT_LIMITS = CallerLimitValues()
