"""Rate limits on callers, decided in Redis. They fail closed: without Redis, no code is sent."""

from contextlib import suppress
from dataclasses import dataclass

from prometheus_client import Gauge
from redis.asyncio import Redis

from shared.errors import ErrorCode, ServiceError
from shared.networks import CallerNetworks, IPv4OrIPv6, site_of
from shared.phone import ref_hex
from shared.redis import Script

DAY = 86_400
HOUR = 3600
MINUTE = 60

LIMITER_UP = Gauge("haoma_caller_limiter_up", "1 while Redis answers for the limits on callers, else 0")


@dataclass(frozen=True)
class Limit:
    """``allowed`` calls at once, refilled evenly over ``period`` seconds (GCRA)."""

    name: str
    allowed: int
    period: int


ADDRESS_SENDS = Limit("sends-address", 20, HOUR)
NETWORK_SENDS = Limit("sends-network", 60, HOUR)
SITE_SENDS = Limit("sends-site", 180, HOUR)
NUMBER_SENDS = Limit("number-sends", 4, DAY)
"""From one site to one number: far below the number's own cap, so one place cannot use that cap up."""
ADDRESS_LOOKUPS = (Limit("lookups-minute", 30, MINUTE), Limit("lookups-hour", 300, HOUR))


def key_of(networks: CallerNetworks, limit: Limit, counted: str) -> str:
    """The Redis key of a limit for what it counts. All keys of one site share a slot of a Redis Cluster."""
    return f"{{callers:{networks.site}}}:{limit.name}:{counted}"


class CallerRateLimits:
    """Charges callers. Raises ``CALLER_LIMIT`` with the seconds to wait, or ``UNAVAILABLE`` without Redis."""

    def __init__(self, redis: Redis) -> None:
        self._charge_script = Script(redis, "sms_service.callers", "lua/charge.lua")
        self._refund_script = Script(redis, "sms_service.callers", "lua/refund.lua")

    async def charge_send(self, address: IPv4OrIPv6, phone_ref: int) -> None:
        """Charge one send to the address, to its networks, and to its site and this number together; or nothing."""
        networks = CallerNetworks.of(address)
        limits = {
            key_of(networks, ADDRESS_SENDS, networks.address): ADDRESS_SENDS,
            key_of(networks, NETWORK_SENDS, networks.network): NETWORK_SENDS,
            key_of(networks, NUMBER_SENDS, ref_hex(phone_ref)): NUMBER_SENDS,
        }
        if networks.site != networks.network:
            limits[key_of(networks, SITE_SENDS, networks.site)] = SITE_SENDS
        await self._charge(limits)

    async def refund_send(self, address: IPv4OrIPv6, phone_ref: int) -> None:
        """Refund the charge on this number for a send that did not happen; the request stays charged. Never raises."""
        key = key_of(CallerNetworks.of(address), NUMBER_SENDS, ref_hex(phone_ref))
        with suppress(ServiceError):  # logged by the script; the caller must get the reason of the refusal instead
            await self._refund_script([key], [NUMBER_SENDS.allowed, NUMBER_SENDS.period])

    async def charge_lookup(self, address: IPv4OrIPv6) -> None:
        """Charge one lookup to the address."""
        networks = CallerNetworks.of(address)
        await self._charge({key_of(networks, limit, networks.address): limit for limit in ADDRESS_LOOKUPS})

    def source_network(self, address: IPv4OrIPv6 | None) -> str | None:
        """The site to count incorrect codes on. It needs no Redis, so codes can be checked without it."""
        return None if address is None else site_of(address)

    async def _charge(self, limits: dict[str, Limit]) -> None:
        arguments = [value for limit in limits.values() for value in (limit.allowed, limit.period)]
        try:
            refusing, retry_after = await self._charge_script(list(limits), arguments)
        except ServiceError:
            LIMITER_UP.set(0)
            raise
        LIMITER_UP.set(1)
        if refusing:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=retry_after)


class NoCallerLimits:
    """``CALLER_LIMITS=off``, for development: only the limits on a number apply."""

    async def charge_send(self, address: IPv4OrIPv6, phone_ref: int) -> None:
        """Charge nothing."""

    async def refund_send(self, address: IPv4OrIPv6, phone_ref: int) -> None:
        """Refund nothing."""

    async def charge_lookup(self, address: IPv4OrIPv6) -> None:
        """Charge nothing."""

    def source_network(self, address: IPv4OrIPv6 | None) -> str | None:  # noqa: ARG002  the port names it
        """No network: incorrect codes are counted on the number alone."""
        return None
