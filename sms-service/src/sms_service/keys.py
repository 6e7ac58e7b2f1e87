"""What codes, references and tickets are made with, from the settings."""

from shared.keys import KeyRing
from shared.phone import PhoneKeys
from shared.tickets import TicketCodec
from sms_service.otp import CodeDeriver
from sms_service.settings import SmsSettings
from sms_service.verification.codes import Secrets


def secrets_of(settings: SmsSettings) -> Secrets:
    """The keys of this process, ready for use."""
    return Secrets(
        CodeDeriver(KeyRing.parse(settings.code_keys.get_secret_value())),
        PhoneKeys(bytes.fromhex(settings.phone_key.get_secret_value())),
        TicketCodec(KeyRing.parse(settings.ticket_keys.get_secret_value())),
    )
