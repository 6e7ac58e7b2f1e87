"""Opens the senders of the settings file, and imports a provider's library only if a sender needs it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

from pydantic import SecretStr

from shared.internal_api.client import internal_client
from sms_service.senders.config import SenderConfig
from sms_service.senders.inbox import InboxSender
from sms_service.senders.libraries import MissingLibraryError
from sms_service.senders.port import ApplyReceipt, Sender

_CLASSES = {
    "webhook": "WebhookSender",
    "twilio": "TwilioSender",
    "aliyun": "AliyunSender",
    "tencent": "TencentSender",
    "aws": "AwsSender",
    "smpp": "SmppSender",
}
"""By type, which is also the name of the module and of the extra that installs its library."""

OpenSender = Callable[..., AbstractAsyncContextManager[Sender]]


@dataclass(frozen=True)
class SenderResources:
    """What some types of senders need from their process.

    ``receipts_url`` is where the gateway takes receipts, without the sender's name; None if no public URL is set.
    """

    inbox_url: str
    inbox_tokens: SecretStr
    receipts_url: str | None
    apply_receipt: ApplyReceipt


async def open_senders(
    configs: Mapping[str, SenderConfig], resources: SenderResources, stack: AsyncExitStack
) -> list[Sender]:
    """Open every sender; they close with ``stack``. Raises ``MissingLibraryError``."""
    return [await stack.enter_async_context(_open_sender(name, config, resources)) for name, config in configs.items()]


def sender_opener(kind: str) -> OpenSender:
    """The function that opens senders of one type. Raises ``MissingLibraryError``."""
    try:
        module = import_module(f"sms_service.senders.{kind}")
    except ImportError as error:
        raise MissingLibraryError(kind, error) from error
    opener: OpenSender = getattr(module, _CLASSES[kind]).open
    return opener


def _open_sender(name: str, config: SenderConfig, resources: SenderResources) -> AbstractAsyncContextManager[Sender]:
    if config.type == "inbox":
        return _open_inbox(name, resources)
    opener = sender_opener(config.type)
    if config.type == "twilio":
        return opener(name, config, f"{resources.receipts_url}/{name}" if resources.receipts_url else None)
    if config.type == "smpp":
        return opener(name, config, resources.apply_receipt)
    return opener(name, config)


@asynccontextmanager
async def _open_inbox(name: str, resources: SenderResources) -> AsyncIterator[Sender]:
    async with internal_client(resources.inbox_url, resources.inbox_tokens) as client:
        yield InboxSender(client, name)
