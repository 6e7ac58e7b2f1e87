"""Rate limits on callers, decided in Redis. They fail closed: without Redis, no code is sent."""

from contextlib import suppress

from prometheus_client import Gauge
from redis.asyncio import Redis

from shared.errors import ErrorCode, ServiceError
from shared.networks import CallerNetworks, IPv4OrIPv6, is_within, site_of
from shared.phone import ref_hex
from shared.redis import Script
from sms_service.callers.limits import DEFAULT_LIMITS, CallerLimitValues, Limit

LIMITER_UP = Gauge("haoma_caller_limiter_up", "1 while Redis answers for the limits on callers, else 0")


def key_of(networks: CallerNetworks, limit: Limit, counted: str) -> str:
    """The Redis key of a limit for what it counts. All keys of one site share a slot of a Redis Cluster."""
    return f"{{callers:{networks.site}}}:{limit.name}:{counted}"


class CallerRateLimits:
    """Charges callers. Raises ``CALLER_LIMIT`` with the seconds to wait, or ``UNAVAILABLE`` without Redis."""

    def __init__(self, redis: Redis, limits: CallerLimitValues = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._charge_script = Script(redis, "sms_service.callers", "lua/charge.lua")
        self._refund_script = Script(redis, "sms_service.callers", "lua/refund.lua")

    async def charge_send(self, address: IPv4OrIPv6, phone_ref: int) -> None:
        """Charge one send to the address, to its networks, and to its site and this number together; or nothing.

        A caller in the allow-list is charged for the number only.
        """
        networks, allowed = CallerNetworks.of(address), self._limits
        limits = {key_of(networks, allowed.number_sends, ref_hex(phone_ref)): allowed.number_sends}
        if not is_within(address, allowed.allow_list):
            limits[key_of(networks, allowed.address_sends, networks.address)] = allowed.address_sends
            limits[key_of(networks, allowed.network_sends, networks.network)] = allowed.network_sends
            if networks.site != networks.network:
                limits[key_of(networks, allowed.site_sends, networks.site)] = allowed.site_sends
        await self._charge(limits)

    async def refund_send(self, address: IPv4OrIPv6, phone_ref: int) -> None:
        """Refund the charge on this number for a send that did not happen; the request stays charged. Never raises."""
        limit = self._limits.number_sends
        key = key_of(CallerNetworks.of(address), limit, ref_hex(phone_ref))
        with suppress(ServiceError):  # logged by the script; the caller must get the reason of the refusal instead
            await self._refund_script([key], [limit.allowed, limit.period])

    async def charge_lookup(self, address: IPv4OrIPv6) -> None:
        """Charge one lookup to the address, unless it is in the allow-list."""
        if is_within(address, self._limits.allow_list):
            return
        networks = CallerNetworks.of(address)
        limits = (self._limits.lookups_minute, self._limits.lookups_hour)
        await self._charge({key_of(networks, limit, networks.address): limit for limit in limits})

    def source_network(self, address: IPv4OrIPv6 | None) -> str | None:
        """The site to count incorrect codes on; None in the allow-list. Redis is not needed for checks of codes."""
        return None if address is None or is_within(address, self._limits.allow_list) else site_of(address)

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
