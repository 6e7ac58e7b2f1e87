"""The keys of a process, ready for use: for codes, for references to numbers and networks, and for tickets."""

from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from shared.keys import KeyRing
from shared.networks import NetworkKey
from shared.phone import PhoneKeys
from shared.tickets import TicketCodec
from sms_service.otp import CodeDeriver


class KeySettings(Protocol):
    """The settings that hold keys."""

    @property
    def code_keys(self) -> SecretStr: ...
    @property
    def phone_key(self) -> SecretStr: ...
    @property
    def ticket_keys(self) -> SecretStr: ...


@dataclass(frozen=True)
class Secrets:
    """What codes, references and tickets are made with."""

    deriver: CodeDeriver
    phones: PhoneKeys
    tickets: TicketCodec
    networks: NetworkKey


def secrets_of(settings: KeySettings) -> Secrets:
    """The keys that the settings hold."""
    phone_key = bytes.fromhex(settings.phone_key.get_secret_value())
    return Secrets(
        CodeDeriver(KeyRing.parse(settings.code_keys.get_secret_value())),
        PhoneKeys(phone_key),
        TicketCodec(KeyRing.parse(settings.ticket_keys.get_secret_value())),
        NetworkKey(phone_key),
    )
