"""The limits on failed log-ins: how many may fail at one number from one network, and from one network in total.

No counter covers a number alone, because anyone could then lock its owner out. The counters are rows in PostgreSQL:
log-in works with Redis stopped, and no limit may rise then.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

from auth_service.passwords.model import Bucket
from shared import networks
from shared.phone import ref_hex

MAX_PER_NUMBER = 10
MAX_PER_NETWORK = 100
"""Failures in one window. A window lasts 15 minutes from its first failure."""

MAX_PER_NUMBER_IN_SITE = 2 * MAX_PER_NUMBER
MAX_PER_SITE = 4 * MAX_PER_NETWORK
"""The limits of the /48 around an IPv6 network. A /48 costs nothing and has 256 networks, so it has counters too.

IPv4 needs none: an address has a price, and the /16 around it belongs to thousands of strangers.
"""


def network_of(address: IPv4Address | IPv6Address) -> str:
    """The network that an address counts for: its /24, or its /56, which one household or host is given."""
    return networks.network_of(address)


def buckets(phone_ref: int, network: str) -> tuple[Bucket, ...]:
    """The counters of one attempt, in the order in which every statement locks them."""
    counters = _counters(phone_ref, network, MAX_PER_NETWORK, MAX_PER_NUMBER)
    parsed = ip_network(network)
    if isinstance(parsed, IPv6Network):
        site = str(parsed.supernet(new_prefix=networks.IPV6_SITE))
        counters += _counters(phone_ref, site, MAX_PER_SITE, MAX_PER_NUMBER_IN_SITE)
    return tuple(sorted(counters, key=lambda bucket: bucket.name))


def _counters(phone_ref: int, network: str, max_in_total: int, max_at_number: int) -> list[Bucket]:
    return [
        Bucket(f"network {network}", max_in_total),
        Bucket(f"number {ref_hex(phone_ref)} {network}", max_at_number),
    ]
