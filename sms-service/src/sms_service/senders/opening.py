"""The senders of a settings file, opened: each kind's library is imported only when a sender of it is there."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

from shared.internal_api.client import InternalClient
from sms_service.receipts.receipts import Receipt
from sms_service.senders.config import SenderConfig
from sms_service.senders.inbox import InboxSender
from sms_service.senders.libraries import MissingLibraryError
from sms_service.senders.port import Sender

_CLASSES = {
    "webhook": "WebhookSender",
    "twilio": "TwilioSender",
    "aliyun": "AliyunSender",
    "tencent": "TencentSender",
    "aws": "AwsSender",
    "smpp": "SmppSender",
}
"""By type, which is also the module's name and that of the extra which brings its library."""

TakeReceipt = Callable[[str, Receipt], Awaitable[bool]]
Open = Callable[..., AbstractAsyncContextManager[Sender]]


def load(kind: str) -> Open:
    """What opens senders of one type. Raises ``MissingLibraryError`` that says which extra to install."""
    try:
        module = import_module(f"sms_service.senders.{kind}")
    except ImportError as error:
        raise MissingLibraryError(kind, error) from error
    opener: Open = getattr(module, _CLASSES[kind]).open
    return opener


@dataclass(frozen=True)
class Surroundings:
    """What some kinds need: the process that holds the inbox, where receipts are posted, and who takes them."""

    inbox: Callable[[], AbstractAsyncContextManager[InternalClient]]
    callbacks: str | None
    take: TakeReceipt


async def open_all(
    configs: Mapping[str, SenderConfig],
    surroundings: Surroundings,
    stack: AsyncExitStack,
) -> list[Sender]:
    """Open every sender until ``stack`` is closed."""
    return [await stack.enter_async_context(_open(name, config, surroundings)) for name, config in configs.items()]


def _open(name: str, config: SenderConfig, around: Surroundings) -> AbstractAsyncContextManager[Sender]:
    if config.type == "inbox":
        return _open_inbox(name, around)
    opener = load(config.type)
    if config.type == "twilio":
        return opener(name, config, f"{around.callbacks}/{name}" if around.callbacks else None)
    if config.type == "smpp":
        return opener(name, config, around.take)
    return opener(name, config)


@asynccontextmanager
async def _open_inbox(name: str, around: Surroundings) -> AsyncIterator[Sender]:
    async with around.inbox() as peer:
        yield InboxSender(peer, name)
