"""The limits on failed log-ins: how many may fail at one number from one network, and from one network in total.

No counter covers a number alone, because anyone could then lock its owner out. The counters are rows in PostgreSQL:
log-in works with Redis stopped, and no limit may rise then.
"""

from dataclasses import dataclass

from auth_service.passwords.model import Bucket
from shared import networks
from shared.networks import CallerNetworks, Networks, RequestSource
from shared.phone import ref_hex

SITE_FACTOR = 2
"""How many more failures the /48 around an IPv6 network has for one number."""
APP_FACTOR = 10
"""How many more failures an app that tells addresses has for one number: with a stolen key, addresses cost nothing."""


@dataclass(frozen=True)
class FailureLimits:
    """How many log-ins may fail in one window, which lasts 15 minutes from its first failure.

    A site is the /48 around an IPv6 network. A /48 costs nothing and has 256 networks, so it has counters too. IPv4
    needs none: an address has a price, and the /16 around it belongs to thousands of strangers. An address in
    ``allow_list`` has counters for each number only, and so has a call that needs a session.

    An app's server has a counter for all that it sends. If it tells the addresses of its users, each of them has the
    counters of an address too; if it does not, the app counts as the network.
    """

    per_number: int
    per_network: int
    per_site: int
    per_app: int
    allow_list: Networks = ()

    @property
    def per_number_in_site(self) -> int:
        """How many may fail at one number from one site."""
        return SITE_FACTOR * self.per_number

    @property
    def per_number_in_app(self) -> int:
        """How many may fail at one number by way of an app that tells the addresses of its users."""
        return APP_FACTOR * self.per_number

    def buckets(self, phone_ref: int, source: RequestSource) -> tuple[Bucket, ...]:
        """The counters of one attempt, in the order in which every statement locks them."""
        number = f"number {ref_hex(phone_ref)}"
        counters: dict[str, int] = {}
        if source.address is not None:
            counters |= self._of_number(number, CallerNetworks.of(source.address))
            if source.user_id is None and not networks.is_within(source.address, self.allow_list):
                counters |= self._of_networks(CallerNetworks.of(source.address))
        if source.app:
            counters[f"{number} {source.app_name}"] = (
                self.per_number if source.address is None else self.per_number_in_app
            )
            counters[source.app_name] = self.per_app
        return tuple(Bucket(name, counters[name]) for name in sorted(counters))

    def _of_number(self, number: str, around: CallerNetworks) -> dict[str, int]:
        counters = {f"{number} {around.network}": self.per_number}
        if around.site != around.network:
            counters[f"{number} {around.site}"] = self.per_number_in_site
        return counters

    def _of_networks(self, around: CallerNetworks) -> dict[str, int]:
        counters = {f"network {around.network}": self.per_network}
        if around.site != around.network:
            counters[f"network {around.site}"] = self.per_site
        return counters
