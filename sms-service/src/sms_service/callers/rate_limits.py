"""Rate limits on callers, decided in Redis. They fail closed: without Redis, no code is sent."""

from contextlib import suppress

from prometheus_client import Gauge

from shared.errors import ErrorCode, ServiceError
from shared.networks import CallerNetworks, RequestSource, is_within
from shared.phone import ref_hex
from shared.redis import AnyRedis, Script
from sms_service.callers.limits import DEFAULT_LIMITS, CallerLimitValues, Limit

LIMITER_UP = Gauge("haoma_caller_limiter_up", "1 while Redis answers for the limits on callers, else 0")


def key_of(place: str, limit: Limit, counted: str) -> str:
    """The Redis key of a limit for what it counts. All keys of one place share a slot of a Redis Cluster."""
    return f"{{callers:{place}}}:{limit.name}:{counted}"


class CallerRateLimits:
    """Charges callers. Raises ``CALLER_LIMIT`` with the seconds to wait, or ``UNAVAILABLE`` without Redis.

    An app's server has the limits of its app. If it tells the addresses of its users, each of them has those of an
    address too, so that one user cannot use up what belongs to all. A call that needs a session counts on its user.
    """

    def __init__(self, redis: AnyRedis, limits: CallerLimitValues = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._charge_script = Script(redis, "sms_service.callers", "lua/charge.lua")
        self._refund_script = Script(redis, "sms_service.callers", "lua/refund.lua")

    async def charge_send(self, source: RequestSource, phone_ref: int | None) -> None:
        """Charge one send to this number from one place, and to all that the source counts on; or nothing.

        A caller in the allow-list is charged for the number only. A caller who is known to the number, which is None
        then, is charged neither for it nor to the app: strangers can use up both.
        """
        allowed, place = self._limits, source.place
        limits = {}
        if phone_ref is not None:
            limits[key_of(place, allowed.number_sends, ref_hex(phone_ref))] = allowed.number_sends
        if source.user_id is not None:
            limits[key_of(place, allowed.user_sends, place)] = allowed.user_sends
        elif source.address is not None and not is_within(source.address, allowed.allow_list):
            limits |= self._address_sends(CallerNetworks.of(source.address))
        if limits:
            await self._charge(limits)
        if phone_ref is None:
            return
        try:
            await self._charge_app(source, allowed.app_sends)
        except ServiceError:
            await self.refund_send(source, phone_ref)
            raise

    async def refund_send(self, source: RequestSource, phone_ref: int) -> None:
        """Refund the charge on this number for a send that did not happen; the request stays charged. Never raises."""
        limit = self._limits.number_sends
        key = key_of(source.place, limit, ref_hex(phone_ref))
        with suppress(ServiceError):  # logged by the script; the caller must get the reason of the refusal instead
            await self._refund_script([key], [limit.allowed, limit.period])

    async def charge_lookup(self, source: RequestSource) -> None:
        """Charge one lookup to the address and its networks, unless it is in the allow-list, and to the app."""
        if source.address is not None and not is_within(source.address, self._limits.allow_list):
            await self._charge(self._address_lookups(CallerNetworks.of(source.address)))
        await self._charge_app(source, self._limits.app_lookups)

    def source_network(self, source: RequestSource) -> str | None:
        """The place to count incorrect codes on beside the number: the user, or the site of the address.

        None in the allow-list, and if an app's server did not tell the address. Redis is not needed for checks.
        """
        if source.user_id is None and (source.address is None or is_within(source.address, self._limits.allow_list)):
            return None
        return source.place

    def source_app(self, source: RequestSource) -> str | None:
        """The app to count incorrect codes on, in addition; None without one."""
        return source.app_name if source.app and source.user_id is None else None

    def _address_sends(self, networks: CallerNetworks) -> dict[str, Limit]:
        allowed, site = self._limits, networks.site
        limits = {
            key_of(site, allowed.address_sends, networks.address): allowed.address_sends,
            key_of(site, allowed.network_sends, networks.network): allowed.network_sends,
        }
        if site != networks.network:
            limits[key_of(site, allowed.site_sends, site)] = allowed.site_sends
        return limits

    def _address_lookups(self, networks: CallerNetworks) -> dict[str, Limit]:
        allowed, site = self._limits, networks.site
        limits = {
            key_of(site, allowed.lookups_minute, networks.address): allowed.lookups_minute,
            key_of(site, allowed.lookups_hour, networks.address): allowed.lookups_hour,
            key_of(site, allowed.network_lookups, networks.network): allowed.network_lookups,
        }
        if site != networks.network:
            limits[key_of(site, allowed.site_lookups, site)] = allowed.site_lookups
        return limits

    async def _charge_app(self, source: RequestSource, limit: Limit) -> None:
        app = self.source_app(source)
        if app is not None:
            await self._charge({key_of(app, limit, app): limit})

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

    async def charge_send(self, source: RequestSource, phone_ref: int | None) -> None:
        """Charge nothing."""

    async def refund_send(self, source: RequestSource, phone_ref: int) -> None:
        """Refund nothing."""

    async def charge_lookup(self, source: RequestSource) -> None:
        """Charge nothing."""

    def source_network(self, source: RequestSource) -> str | None:  # noqa: ARG002  the port names it
        """No network: incorrect codes are counted on the number alone."""
        return None

    def source_app(self, source: RequestSource) -> str | None:  # noqa: ARG002  the port names it
        """No app, as above."""
        return None
