"""The limits on failed log-ins: how many may fail at one number from one network, and from one network in total.

No counter covers a number alone, because anyone could then lock its owner out. The counters are rows in PostgreSQL:
log-in works with Redis stopped, and no limit may rise then.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from auth_service.passwords.model import Bucket
from shared import networks
from shared.networks import CallerNetworks, Networks
from shared.phone import ref_hex

SITE_FACTOR = 2
"""How many more failures the /48 around an IPv6 network has for one number."""


@dataclass(frozen=True)
class FailureLimits:
    """How many log-ins may fail in one window, which lasts 15 minutes from its first failure.

    A site is the /48 around an IPv6 network. A /48 costs nothing and has 256 networks, so it has counters too. IPv4
    needs none: an address has a price, and the /16 around it belongs to thousands of strangers. An address in
    ``allow_list`` has counters for each number only.
    """

    per_number: int
    per_network: int
    per_site: int
    allow_list: Networks = ()

    @property
    def per_number_in_site(self) -> int:
        """How many may fail at one number from one site."""
        return SITE_FACTOR * self.per_number

    def buckets(self, phone_ref: int, address: IPv4Address | IPv6Address) -> tuple[Bucket, ...]:
        """The counters of one attempt, in the order in which every statement locks them."""
        around, number = CallerNetworks.of(address), ref_hex(phone_ref)
        network, site = around.network, around.site
        counters = {f"number {number} {network}": self.per_number}
        if site != network:
            counters[f"number {number} {site}"] = self.per_number_in_site
        if not networks.is_within(address, self.allow_list):
            counters[f"network {network}"] = self.per_network
            if site != network:
                counters[f"network {site}"] = self.per_site
        return tuple(Bucket(name, counters[name]) for name in sorted(counters))


def network_of(address: IPv4Address | IPv6Address) -> str:
    """The network that an address counts for: its /24, or its /56, which one household or host is given."""
    return networks.network_of(address)
