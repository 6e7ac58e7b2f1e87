"""The limits on log-ins with a password: which buckets count an attempt and a success, and what a full one refuses.

Failures of one number from one network are counted narrowly: when that bucket is full, no password is compared. An app
whose server tells no addresses is such a network. Failures of many callers are counted in wide buckets: of a network,
of an app, and of a number in an IPv6 site, by way of an app and over all networks. A stranger can fill those, so they
refuse no correct password from a network that is known to the number. Wide buckets are judged after the comparison, and
count known callers too: neither the answer nor the time of a refusal depends on whether a number has an account.

The counters are rows in PostgreSQL: log-in works with Redis stopped, and no limit may rise then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from auth_service.passwords.model import Bucket
from shared import networks
from shared.networks import CallerNetworks, Networks, RequestSource
from shared.phone import ref_hex

SITE_FACTOR = 2
"""How many more failures the /48 around an IPv6 network has for one number."""
APP_FACTOR = 10
"""How many more failures an app that tells addresses has for one number: with a stolen key, addresses cost nothing."""
LOOK_UPS_PER_LOG_IN = 3
"""How many numbers a network may look up in the user source for each new log-in that may succeed from there."""
WINDOW = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class LimitsAround:
    """How many callers of one network, one site and one app may do together.

    A site is the /48 around an IPv6 network. A /48 costs nothing and has 256 networks, so it has counters too. IPv4
    needs none: an address has a price, and the /16 around it belongs to thousands of strangers.
    """

    network: int
    site: int
    app: int


@dataclass(frozen=True)
class LoginLimits:
    """How many log-ins may fail in 15 minutes, or at one number in a day, and how many may succeed in an hour.

    An address in ``allow_list`` has counters for each number only. A call that needs a session has those of its number
    from its network, and in all sessions: strangers cannot use that up, and a stolen session cannot go on without end.

    An app's server has a counter for all that it sends. If it tells the addresses of its users, each of them has the
    counters of an address too; if it does not, the app counts as the network.
    """

    failures_per_number: int
    failures_per_number_day: int
    failures: LimitsAround
    successes_per_number: int
    successes: LimitsAround
    allow_list: Networks = ()

    @property
    def per_number_in_site(self) -> int:
        """How many may fail at one number from one site."""
        return SITE_FACTOR * self.failures_per_number

    @property
    def per_number_in_app(self) -> int:
        """How many may fail at one number by way of an app that tells the addresses of its users."""
        return APP_FACTOR * self.failures_per_number

    def failure_buckets(self, phone_ref: int, source: RequestSource) -> tuple[Bucket, ...]:
        """The counters of one attempt, in the order in which every statement locks them."""
        number = f"number {ref_hex(phone_ref)}"
        place = source.app_name if source.address is None else networks.network_of(source.address)
        wide = [*self._around(source, self.failures), *self._of_number(number, source)]
        buckets = [Bucket(name, allowed, WINDOW, is_wide=True) for name, allowed in wide]
        buckets.append(Bucket(f"{number} {place}", self.failures_per_number, WINDOW))
        if source.address is not None:
            everywhere = number if source.user_id is None else f"{number} in sessions"
            buckets.append(Bucket(everywhere, self.failures_per_number_day, DAY, is_wide=True))
        return _in_locking_order(buckets)

    def success_buckets(self, phone_ref: int, source: RequestSource, *, is_known: bool) -> tuple[Bucket, ...]:
        """The counters of one correct password, in the order in which every statement locks them.

        A known caller counts on the number alone, so that no one can use up what the users of a network have.
        """
        buckets = [Bucket(f"log-ins number {ref_hex(phone_ref)}", self.successes_per_number, HOUR)]
        if not is_known:
            around = self._around(source, self.successes)
            buckets += [Bucket(f"log-ins {name}", allowed, HOUR) for name, allowed in around]
        return _in_locking_order(buckets)

    def look_up_buckets(self, source: RequestSource) -> tuple[Bucket, ...]:
        """The counters of one look-up in the user source. A log-in that is new to a network takes a few of them.

        They count by the minute: what an hour allows would be a flood for someone else's server if it came at once.
        """
        around = self._around(source, self.successes)
        per_minute = ((name, max(1, LOOK_UPS_PER_LOG_IN * allowed * MINUTE // HOUR)) for name, allowed in around)
        buckets = [Bucket(f"look-ups {name}", allowed, MINUTE) for name, allowed in per_minute]
        return _in_locking_order(buckets)

    def _of_number(self, number: str, source: RequestSource) -> Iterator[tuple[str, int]]:
        if source.address is None or source.user_id is not None:
            return
        around = CallerNetworks.of(source.address)
        if around.site != around.network:
            yield f"{number} {around.site}", self.per_number_in_site
        if source.app:
            yield f"{number} {source.app_name}", self.per_number_in_app

    def _around(self, source: RequestSource, limits: LimitsAround) -> Iterator[tuple[str, int]]:
        if source.app:
            yield source.app_name, limits.app
        if source.address is None or source.user_id is not None:
            return
        if not networks.is_within(source.address, self.allow_list):
            around = CallerNetworks.of(source.address)
            yield f"network {around.network}", limits.network
            if around.site != around.network:
                yield f"network {around.site}", limits.site


def _in_locking_order(buckets: list[Bucket]) -> tuple[Bucket, ...]:
    return tuple(sorted(buckets, key=lambda bucket: bucket.name))
