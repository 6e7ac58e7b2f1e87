"""What limits count a request on: the caller's address, the networks around it, or the app whose server sent it."""

import hmac
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from socket import AF_INET, AF_INET6, inet_ntop

from shared.values import value

IPv4OrIPv6 = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

IPV4_NETWORK = 24
IPV6_SUBSCRIBER = 64
IPV6_NETWORK = 56
IPV6_SITE = 48
IPV6_REGION = 40
IPV6_BLOCK = 32


@dataclass(frozen=True)
class CallerNetworks:
    """A caller's address, the network that one household or host gets, and the site around it, each as text.

    A site is what a stranger gets for next to nothing: a /48 of IPv6. An IPv4 address has a price, and a /16 belongs
    to thousands of strangers, so the site of IPv4 is its network.
    """

    address: str
    network: str
    site: str

    @classmethod
    def of(cls, address: IPv4OrIPv6) -> "CallerNetworks":
        """IPv4: the address, its /24, and the /24 again. IPv6: its /64, /56 and /48. IPv4 mapped to IPv6 is IPv4."""
        address = unmapped(address)
        if isinstance(address, IPv6Address):
            prefixes = (IPV6_SUBSCRIBER, IPV6_NETWORK, IPV6_SITE)
            return cls(*(_network(address, prefix) for prefix in prefixes))
        network = _network(address, IPV4_NETWORK)
        return cls(str(address), network, network)


@value
class RequestSource:
    """The source of a request, which limits count it on.

    ``address`` is the user's; it is None if the server of the app named ``app`` sent the request and did not tell it.
    ``user_id`` is the user whose session the call needs: such a call counts on the user.
    """

    address: IPv4OrIPv6 | None
    app: str = ""
    user_id: int | None = None

    @property
    def place(self) -> str:
        """The narrowest of what stands for many numbers, as text: the user, the site of the address, or the app."""
        if self.user_id is not None:
            return f"user {self.user_id}"
        return self.app_name if self.address is None else site_of(self.address)

    @property
    def network(self) -> str:
        """The user's network, or the app if its server did not tell the address."""
        return self.app_name if self.address is None else network_of(self.address)

    @property
    def app_name(self) -> str:
        """The app as limits name it, such as ``app shop``. No network is spelled so."""
        return f"app {self.app}"


class NetworkKey:
    """References of networks for tables and internal calls. Without the key, a reference tells nothing."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"network reference", "sha256")

    def ref(self, source: RequestSource) -> int:
        """The reference of a source's network, or app, as a signed 64-bit integer, PostgreSQL's ``bigint``."""
        digest = hmac.digest(self._key, source.network.encode(), "sha256")
        return int.from_bytes(digest[:8], "big", signed=True)


def network_of(address: IPv4OrIPv6) -> str:
    """Only the network: a /24 of IPv4, a /56 of IPv6."""
    address = unmapped(address)
    return _network(address, IPV4_NETWORK if isinstance(address, IPv4Address) else IPV6_NETWORK)


def site_of(address: IPv4OrIPv6) -> str:
    """Only the site: a /24 of IPv4, a /48 of IPv6."""
    address = unmapped(address)
    return _network(address, IPV4_NETWORK if isinstance(address, IPv4Address) else IPV6_SITE)


def nested_networks(address: IPv4OrIPv6) -> tuple[str, str, str, str]:
    """The networks around an address, the widest first: of IPv6 a part of the /32, the /40, /48 and /56.

    A registry gives a provider a /32 of IPv6, or a few, and anyone can become one. Carriers have all their users in one
    too, so it has sixteen parts, among which its /48s are spread. Of IPv4 all four are the /24: nothing around a /24 is
    one party's. Each of its addresses has a price, and the /16 belongs to strangers.
    """
    address = unmapped(address)
    if isinstance(address, IPv4Address):
        network = _network(address, IPV4_NETWORK)
        return (network, network, network, network)
    block, region, site, network = (
        _network(address, prefix) for prefix in (IPV6_BLOCK, IPV6_REGION, IPV6_SITE, IPV6_NETWORK)
    )
    return (f"{block} {_part(address):x}", region, site, network)


def _part(address: IPv6Address) -> int:
    """One of the sixteen parts of a /32: of neighbouring /48s, and of neighbouring /40s, each has another one."""
    site = int(address) >> (address.max_prefixlen - IPV6_SITE) & 0xFFFF
    return (site ^ site >> 4 ^ site >> 8 ^ site >> 12) & 0xF


def is_within(address: IPv4OrIPv6, networks: Networks) -> bool:
    """Whether one of the networks contains the address."""
    return bool(networks) and any(unmapped(address) in network for network in networks)


def unmapped(address: IPv4OrIPv6) -> IPv4OrIPv6:
    """The IPv4 address in an IPv6 address of ``::ffff:0:0/96``; any other address as it is."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=4096)
def _network(address: IPv4OrIPv6, prefix: int) -> str:
    """The network as ``ip_network`` writes it, at a fifth of its cost. A client makes several calls in a row."""
    host_bits = address.max_prefixlen - prefix
    packed = (int(address) >> host_bits << host_bits).to_bytes(address.max_prefixlen // 8, "big")
    return f"{inet_ntop(AF_INET6 if address.version == 6 else AF_INET, packed)}/{prefix}"
