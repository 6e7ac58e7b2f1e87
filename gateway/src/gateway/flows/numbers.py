"""Numbers as clients write them, and as clients carry them from one call to the next."""

from collections.abc import Collection
from datetime import UTC, datetime

from gateway.flows.sealed_number import NumberSeal
from shared import phone
from shared.internal_api.sms import Purpose
from shared.phone import E164


class NumberFlows:
    """Parses and seals numbers."""

    def __init__(self, seal: NumberSeal, served_calling_codes: Collection[str]) -> None:
        self._seal = seal
        self._served_calling_codes = served_calling_codes

    def parse(self, spelling: str, calling_code: str = phone.MAINLAND) -> E164:
        """The number in E.164. Raises ``NUMBER_REFUSED`` for an invalid number and for a country we do not serve."""
        return phone.parse(spelling, calling_code=calling_code, served=self._served_calling_codes)

    def seal(self, number: E164, purpose: Purpose) -> str:
        """The number as opaque text, valid for ten minutes, that a client sends back."""
        return self._seal.seal(number, purpose, now=datetime.now(UTC))

    def unseal(self, sealed: str, purpose: Purpose) -> E164:
        """The number sealed for this purpose. Raises ``CODE_REFUSED`` for a forged or expired seal."""
        return self._seal.unseal(sealed, purpose, now=datetime.now(UTC))
