"""Who counts as one caller: an address, and the networks around it."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class CallerNetworks:
    """Who is asking, as the limits see it: a subscriber's address, the network around it, and its site.

    A site is what one stranger is given for next to nothing: IPv6 comes by the /48, IPv4 has a price already.
    """

    address: str
    network: str
    site: str

    @classmethod
    def of(cls, address: Address) -> "CallerNetworks":
        """IPv4 and its /24, a site as well; IPv6 by /64 (one subscriber's), /56 and /48. IPv4 in IPv6 is IPv4."""
        if isinstance(address, IPv6Address):
            if address.ipv4_mapped is None:
                return cls(_network(address, 64), _network(address, 56), _network(address, 48))
            address = address.ipv4_mapped
        network = _network(address, 24)
        return cls(str(address), network, network)


def _network(address: Address, prefix: int) -> str:
    return str(ip_network((address, prefix), strict=False))
