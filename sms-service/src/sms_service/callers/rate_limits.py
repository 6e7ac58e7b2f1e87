"""How often one caller may ask, decided in Redis; when Redis is away nobody may."""

from contextlib import suppress
from dataclasses import dataclass

from prometheus_client import Gauge
from redis.asyncio import Redis

from shared.errors import ErrorCode, ServiceError
from shared.phone import ref_hex
from shared.redis import Script
from sms_service.callers.networks import Address, CallerNetworks

DAY = 86_400
HOUR = 3600
MINUTE = 60

DECIDING = Gauge("haoma_caller_limiter_up", "1 while Redis answers for the limits on callers, else 0")


@dataclass(frozen=True)
class Limit:
    """``allowed`` at once, refilled evenly over ``period`` seconds (GCRA)."""

    name: str
    allowed: int
    period: int


ADDRESS_SENDS = Limit("sends-address", 20, HOUR)
NETWORK_SENDS = Limit("sends-network", 60, HOUR)
SITE_SENDS = Limit("sends-site", 180, HOUR)
NUMBER_SENDS = Limit("number-sends", 4, DAY)
"""From one site to one number: far less than the number's own cap, so no stranger can use that up from one place."""
ADDRESS_LOOKUPS = (Limit("lookups-minute", 30, MINUTE), Limit("lookups-hour", 300, HOUR))


def key_of(origin: CallerNetworks, limit: Limit, who: str) -> str:
    """Where a limit is counted. All keys of one caller share a slot of a Redis Cluster."""
    return f"{{callers:{origin.site}}}:{limit.name}:{who}"


class Callers:
    """The limits on callers. Raises ``CALLER_LIMIT`` with when to ask again, ``UNAVAILABLE`` without Redis."""

    def __init__(self, redis: Redis) -> None:
        self._decide = Script(redis, "sms_service.callers", "lua/callers.lua")
        self._refund = Script(redis, "sms_service.callers", "lua/refund.lua")

    async def may_send(self, address: Address, phone_ref: int) -> None:
        """Charge the address, its networks, and what they may send to this number; or nothing of it."""
        origin = CallerNetworks.of(address)
        limits = {
            key_of(origin, ADDRESS_SENDS, origin.address): ADDRESS_SENDS,
            key_of(origin, NETWORK_SENDS, origin.network): NETWORK_SENDS,
            key_of(origin, NUMBER_SENDS, ref_hex(phone_ref)): NUMBER_SENDS,
        }
        if origin.site != origin.network:
            limits[key_of(origin, SITE_SENDS, origin.site)] = SITE_SENDS
        await self._charge(limits)

    async def not_sent(self, address: Address, phone_ref: int) -> None:
        """Give back the send to this number that did not happen; having asked stays charged. Never raises."""
        key = key_of(CallerNetworks.of(address), NUMBER_SENDS, ref_hex(phone_ref))
        with suppress(ServiceError):  # the script has logged it, and the caller is owed the reason of his refusal
            await self._refund([key], [NUMBER_SENDS.allowed, NUMBER_SENDS.period])

    async def may_look_up(self, address: Address) -> None:
        """Charge the address with one look-up."""
        origin = CallerNetworks.of(address)
        await self._charge({key_of(origin, limit, origin.address): limit for limit in ADDRESS_LOOKUPS})

    def source_network(self, address: Address | None) -> str | None:
        """The site that a guess is counted on. Needs no Redis: codes are checked without it."""
        return None if address is None else CallerNetworks.of(address).site

    async def _charge(self, limits: dict[str, Limit]) -> None:
        arguments = [value for limit in limits.values() for value in (limit.allowed, limit.period)]
        try:
            refusing, retry_after = await self._decide(list(limits), arguments)
        except ServiceError:
            DECIDING.set(0)
            raise
        DECIDING.set(1)
        if refusing:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=retry_after)


class Unlimited:
    """``CALLER_LIMITS=off``, for development: limits on a number hold all the same."""

    async def may_send(self, address: Address, phone_ref: int) -> None:
        """Whoever it is."""

    async def not_sent(self, address: Address, phone_ref: int) -> None:
        """Nothing was charged."""

    async def may_look_up(self, address: Address) -> None:
        """Whoever it is."""

    def source_network(self, address: Address | None) -> str | None:  # noqa: ARG002  whoever it is
        """Nobody: guesses are counted on the number alone."""
        return None
