"""Who calls: the user's address, and the app whose server sent the request."""

from dataclasses import dataclass
from typing import Self

from aiohttp import web

from gateway.http.app_keys import AppServers, parse_app_keys
from gateway.http.client_address import Address, ClientAddresses, Networks


@dataclass(frozen=True)
class Callers:
    """Finds the source of each request."""

    addresses: ClientAddresses
    app_servers: AppServers

    @classmethod
    def configured(cls, proxies: Networks | None, app_keys: str) -> Self:
        """With ``TRUSTED_PROXIES`` and ``APP_KEYS``. Raises ``ValueError`` for a malformed key."""
        return cls(ClientAddresses(proxies), AppServers(parse_app_keys(app_keys)))

    def address_of(self, request: web.Request) -> Address:
        """The address that the request came from."""
        return self.addresses.of(request)

    def app_call(self, request: web.Request) -> tuple[str, Address | None] | None:
        """The app whose server sent the request, and the user's address if that server tells it; None without a key.

        Raises ``APP_KEY_REFUSED``.
        """
        if app := self.app_servers.app_of(request):
            return app, self.addresses.forwarded_address(request)
        self.addresses.report_unnamed_proxy(request)
        return None
