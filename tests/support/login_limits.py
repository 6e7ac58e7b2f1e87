"""The limits on log-ins for tests: filling them without hashing, and reading what they have counted."""

from datetime import timedelta
from ipaddress import ip_address

from auth_service.passwords.login_limits import LimitsAround, LoginLimits
from auth_service.passwords.model import Bucket
from shared.networks import RequestSource
from shared.phone import E164
from support.auth import Auth

LIMITS = LoginLimits(10, 30, LimitsAround(300, 1_200, 3_000), 20, LimitsAround(600, 1_800, 6_000))
"""The defaults."""

ANYWHERE = "2001:db8:ffff:ff00::1"


async def fill(auth: Auth, address: str, number: str, failures: int, app: str = "", user_id: int | None = None) -> None:
    """Count this many failed log-ins of a number from an address, in every bucket, without hashing.

    In sessions of the user, if there is one.
    """
    ref = auth.phones.ref(E164(number))
    await add(auth, LIMITS.failure_buckets(ref, RequestSource(ip_address(address), app, user_id)), failures)


async def add(auth: Auth, buckets: tuple[Bucket, ...], times: int) -> None:
    """Count this many log-ins in each of the buckets."""
    await auth.database.execute(
        """
        insert into login_limits as l (bucket, full_at)
        select name, now() + used from unnest($1::text[], $2::interval[]) as b (name, used)
        on conflict (bucket) do update set full_at = greatest(l.full_at, now()) + (excluded.full_at - now())
        """,
        [bucket.name for bucket in buckets],
        [times * bucket.interval for bucket in buckets],
    )


async def age(auth: Auth, seconds: int) -> None:
    """Let this time pass for every bucket."""
    await auth.database.execute("update login_limits set full_at = full_at - $1::interval", timedelta(seconds=seconds))


async def counted(auth: Auth, number: str) -> int:
    """The failures that are counted for a number in all of its buckets, rounded to whole failures each."""
    day = LIMITS.failure_buckets(auth.phones.ref(E164(number)), RequestSource(ip_address(ANYWHERE)))
    (of_all_networks,) = (bucket for bucket in day if "/" not in bucket.name)
    rows = await auth.database.fetch(
        "select bucket, full_at - now() as used from login_limits where starts_with(bucket, $1)", of_all_networks.name
    )
    sizes = {of_all_networks.name: of_all_networks.interval}
    total = 0
    for row in rows:
        is_site = row["bucket"].endswith("/48")
        allowed = LIMITS.per_number_in_site if is_site else LIMITS.failures_per_number
        interval = sizes.get(row["bucket"], timedelta(minutes=15) / allowed)
        total += max(0, round(row["used"] / interval))
    return total
