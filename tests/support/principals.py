"""Clients of one service for every principal that may call it, and secrets as production takes them."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from pydantic import SecretStr

from shared.internal_api.client import InternalClient, internal_client
from shared.internal_api.endpoint import Endpoint, WireModel
from shared.internal_api.principals import Principal

RequestT = TypeVar("RequestT", bound=WireModel)
ResponseT = TypeVar("ResponseT", bound=WireModel)


@dataclass(frozen=True)
class EveryPrincipal:
    """Makes each call as the principal that may make it."""

    clients: Mapping[Principal, InternalClient]

    async def call(self, endpoint: Endpoint[RequestT, ResponseT], request: RequestT) -> ResponseT:
        return await self.clients[endpoint.allowed].call(endpoint, request)


@asynccontextmanager
async def every_principal(url: str, tokens: Mapping[Principal, SecretStr | None]) -> AsyncIterator[EveryPrincipal]:
    """A client of the service at ``url`` that has all its tokens."""
    async with AsyncExitStack() as stack:
        yield EveryPrincipal(
            {
                principal: await stack.enter_async_context(internal_client(url, token))
                for principal, token in tokens.items()
                if token is not None
            }
        )


def strong_secret(name: str) -> str:
    """64 hex digits that look random, another for each name."""
    return hashlib.sha256(f"test {name}".encode()).hexdigest()
