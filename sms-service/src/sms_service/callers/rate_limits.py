"""Rate limits on callers, decided in Redis. They fail closed: without Redis, no code is sent."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from shared.errors import ErrorCode, ServiceError
from shared.networks import CallerNetworks, RequestSource, is_within
from shared.phone import ref_hex
from shared.redis import AnyRedis, Script
from sms_service.callers.limits import DEFAULT_LIMITS, CallerLimitValues, Limit, kept_for_known

Counted = tuple[Limit, str]
"""A limit, and what it counts, as text: an address, a network, a user, a number."""
NO_LIMITS: Mapping[str, Limit] = {}
KEPT_LANE = 2
"""What ``charge.lua`` returns if it charged what is kept for known callers."""


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
        self._forget_script = Script(redis, "sms_service.callers", "lua/forget.lua")

    async def charge_send(self, source: RequestSource, phone_ref: int | None) -> bool:
        """Charge one send to this number from one place, and to all that the source counts on; or nothing.

        A caller in the allow-list is charged for the number only. A caller who is known to the number, which is None
        then, is charged neither for it nor to the app: strangers can use up both. Where strangers have used up address,
        network or site, such a caller is charged to what is kept there for known callers. Returns whether it was.
        """
        place, counted = source.place, self._counted_sends(source)
        if phone_ref is None:
            return await self._charge(_keyed(place, counted), _keyed(place, _kept(source, counted)))
        await self._charge(_keyed(place, [(self._limits.number_sends, ref_hex(phone_ref)), *counted]))
        try:
            await self._charge_app(source, self._limits.app_sends)
        except ServiceError:
            await self.refund_send(source, phone_ref)
            raise
        return False

    async def refund_send(self, source: RequestSource, phone_ref: int | None) -> None:
        """Refund the charge on this number for a send that did not happen; the request stays charged. Never raises.

        Without a number, refund what was kept for known callers: one of them alone could use it up with requests that
        the limits of their own number refuse.
        """
        charged = _kept(source, self._counted_sends(source))
        if phone_ref is not None:
            charged = [(self._limits.number_sends, ref_hex(phone_ref))]
        await self._refund(source, charged)

    async def undo_send(self, source: RequestSource, phone_ref: int) -> None:
        """Refund all that ``charge_send`` charged a stranger, except what it charged an app. Never raises."""
        await self._refund(source, [(self._limits.number_sends, ref_hex(phone_ref)), *self._counted_sends(source)])

    async def forget_sends(self, phone_ref: int, places: Collection[str]) -> None:
        """Forget what these places sent to this number. What counts on the places themselves stays."""
        for place in places:
            await self._forget_script([key_of(place, self._limits.number_sends, ref_hex(phone_ref))], [])

    async def charge_lookup(self, source: RequestSource) -> None:
        """Charge one lookup to the address and its networks, unless it is in the allow-list, and to the app."""
        if source.address is not None and not is_within(source.address, self._limits.allow_list):
            await self._charge(self._address_lookups(CallerNetworks.of(source.address)))
        await self._charge_app(source, self._limits.app_lookups)

    def place(self, source: RequestSource) -> str | None:
        """What tells callers apart at a number without an account, also where nothing is charged to it."""
        return source.place

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

    def _counted_sends(self, source: RequestSource) -> list[Counted]:
        """What a request for a code counts on beside the number and the app: the user, or the address."""
        allowed = self._limits
        if source.user_id is not None:
            return [(allowed.user_sends, source.place)]
        if source.address is None or is_within(source.address, allowed.allow_list):
            return []
        networks = CallerNetworks.of(source.address)
        counted = [(allowed.address_sends, networks.address), (allowed.network_sends, networks.network)]
        return counted if networks.site == networks.network else [*counted, (allowed.site_sends, networks.site)]

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

    async def _refund(self, source: RequestSource, charged: Iterable[Counted]) -> None:
        limits = _keyed(source.place, charged)
        with suppress(ServiceError):  # logged by the script; the caller must get the reason of the refusal instead
            await self._refund_script(list(limits), _arguments(limits.values()))

    async def _charge_app(self, source: RequestSource, limit: Limit) -> None:
        app = self.source_app(source)
        if app is not None:
            await self._charge({key_of(app, limit, app): limit})

    async def _charge(self, limits: Mapping[str, Limit], kept: Mapping[str, Limit] = NO_LIMITS) -> bool:
        """Charge the limits, or if one of them refuses, those that are ``kept``. Returns whether these were charged."""
        if not limits:
            return False
        arguments = [*_arguments([*limits.values(), *kept.values()]), len(limits)]
        lane, retry_after = await self._charge_script([*limits, *kept], arguments)
        if not lane:
            raise ServiceError(ErrorCode.CALLER_LIMIT, retry_after=retry_after)
        return bool(lane == KEPT_LANE)


def _kept(source: RequestSource, counted: Iterable[Counted]) -> list[Counted]:
    """What is kept for known callers beside what a send counts on. A user's limit is their own already."""
    return [] if source.user_id is not None else [(kept_for_known(limit), who) for limit, who in counted]


def _keyed(place: str, counted: Iterable[Counted]) -> dict[str, Limit]:
    return {key_of(place, limit, who): limit for limit, who in counted}


def _arguments(limits: Iterable[Limit]) -> list[int]:
    """Limits as the scripts read them."""
    return [value for limit in limits for value in (limit.allowed, limit.period)]


class NoCallerLimits:
    """``CALLER_LIMITS=off``, for development: only the limits on a number apply."""

    async def charge_send(self, source: RequestSource, phone_ref: int | None) -> bool:  # noqa: ARG002  as below
        """Charge nothing."""
        return False

    async def refund_send(self, source: RequestSource, phone_ref: int | None) -> None:
        """Refund nothing."""

    async def undo_send(self, source: RequestSource, phone_ref: int) -> None:
        """Refund nothing."""

    async def forget_sends(self, phone_ref: int, places: Collection[str]) -> None:
        """Forget nothing."""

    async def charge_lookup(self, source: RequestSource) -> None:
        """Charge nothing."""

    def place(self, source: RequestSource) -> str | None:  # noqa: ARG002  the port names it
        """No place: callers are not told apart."""
        return None

    def source_network(self, source: RequestSource) -> str | None:  # noqa: ARG002  as above
        """No network: incorrect codes are counted on the number alone."""
        return None

    def source_app(self, source: RequestSource) -> str | None:  # noqa: ARG002  the port names it
        """No app, as above."""
        return None
