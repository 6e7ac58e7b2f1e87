"""The keys of a process, ready for use: for codes, for references to numbers and networks, and for tickets."""

from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from shared.keys import KeyRing
from shared.networks import NetworkKey
from shared.phone import PhoneKeys
from shared.tickets import TicketCodec
from sms_service.number_seal import NumberSeal
from sms_service.otp import CodeDeriver
from sms_service.send_command import MessageSeal


class SealSettings(Protocol):
    """The settings that hold the keys of stored numbers."""

    @property
    def phone_seal_keys(self) -> SecretStr: ...


class MessageKeySettings(SealSettings, Protocol):
    """The settings that hold the keys for composing messages."""

    @property
    def code_keys(self) -> SecretStr: ...


class KeySettings(MessageKeySettings, Protocol):
    """The settings that hold all keys of the API."""

    @property
    def phone_key(self) -> SecretStr: ...
    @property
    def ticket_keys(self) -> SecretStr: ...


@dataclass(frozen=True)
class Secrets:
    """What codes, references, sealed numbers, sealed messages and tickets are made with."""

    deriver: CodeDeriver
    phones: PhoneKeys
    seal: NumberSeal
    messages: MessageSeal
    tickets: TicketCodec
    networks: NetworkKey


def secrets_of(settings: KeySettings) -> Secrets:
    """The keys that the settings hold."""
    phone_key = bytes.fromhex(settings.phone_key.get_secret_value())
    return Secrets(
        deriver_of(settings),
        PhoneKeys(phone_key),
        seal_of(settings),
        message_seal_of(settings),
        TicketCodec(KeyRing.parse(settings.ticket_keys.get_secret_value())),
        NetworkKey(phone_key),
    )


def deriver_of(settings: MessageKeySettings) -> CodeDeriver:
    """What derives codes."""
    return CodeDeriver(KeyRing.parse(settings.code_keys.get_secret_value()))


def seal_of(settings: SealSettings) -> NumberSeal:
    """What seals and opens stored numbers."""
    return NumberSeal(KeyRing.parse(settings.phone_seal_keys.get_secret_value()))


def message_seal_of(settings: SealSettings) -> MessageSeal:
    """What seals messages for the way to the worker, and opens them there."""
    return MessageSeal(KeyRing.parse(settings.phone_seal_keys.get_secret_value()))
