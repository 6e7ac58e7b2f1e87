"""How many log-ins may fail: by number within a network, and by network.

The counters are rows in PostgreSQL, because log-in must work with Redis stopped and no limit may rise then. A
number is only ever blocked for one network, so nobody can lock its owner out from elsewhere. Every attempt is
charged before its password is looked at, and gets the charge back when the password was right: of any number of
guesses made at once, no more than the limit are judged.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

from auth_service.accounts.model import Bucket
from shared import networks
from shared.phone import ref_hex

PER_NUMBER = 10
PER_NETWORK = 100
"""Failures in one window; the window (15 minutes) opens with the first failure."""

PER_NUMBER_IN_SITE = 2 * PER_NUMBER
PER_SITE = 4 * PER_NETWORK
"""The same for the /48 around an IPv6 network: anybody is given one for nothing, and it has 256 of those networks.

An IPv4 address has a price, and a /16 belongs to thousands of strangers: there is no wider counter for it.
"""


def network_of(address: IPv4Address | IPv6Address) -> str:
    """The network an address counts for: its /24, or its /56, which is what one household or host gets."""
    return networks.network_of(address)


def buckets(phone_ref: int, network: str) -> tuple[Bucket, ...]:
    """The counters that one log-in is charged to, in the order in which every statement locks them."""
    charged = _buckets(phone_ref, network, PER_NETWORK, PER_NUMBER)
    parsed = ip_network(network)
    if isinstance(parsed, IPv6Network):
        charged += _buckets(
            phone_ref, str(parsed.supernet(new_prefix=networks.IPV6_SITE)), PER_SITE, PER_NUMBER_IN_SITE
        )
    return tuple(sorted(charged, key=lambda bucket: bucket.name))


def _buckets(phone_ref: int, network: str, most: int, most_of_number: int) -> list[Bucket]:
    return [Bucket(f"network {network}", most), Bucket(f"number {ref_hex(phone_ref)} {network}", most_of_number)]
