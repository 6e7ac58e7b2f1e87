"""Numbers as clients write them, and as clients carry them from one call to the next."""

import contextlib
from collections.abc import Collection
from datetime import UTC, datetime

from gateway.flows.sealed_number import NumberSeal
from shared import phone
from shared.errors import ServiceError
from shared.internal_api.auth import Account
from shared.internal_api.sms import Purpose
from shared.phone import E164


def national_number(account: Account) -> str:
    """The number of a user as contracts from the mainland write it: national digits for +86, else E.164."""
    code, national = phone.split(E164(account.phone))
    return national if code == phone.MAINLAND else account.phone


class NumberFlows:
    """Parses and seals numbers."""

    def __init__(self, seal: NumberSeal, served_calling_codes: Collection[str]) -> None:
        self._seal = seal
        self._served_calling_codes = served_calling_codes

    def parse(self, spelling: str, country: str = phone.MAINLAND) -> E164:
        """The number in E.164. ``country`` is a calling code, with or without an area code (``1242``) behind it.

        Behind an area code is the rest of the number, or a national number. Raises ``NUMBER_REFUSED`` for an invalid
        number and for a country we do not serve.
        """
        calling_code = self._calling_code_of(country)
        if calling_code != country:
            with contextlib.suppress(ServiceError):
                return phone.parse(f"+{country}{spelling}", served=[calling_code])
        return phone.parse(spelling, calling_code=calling_code, served=self._served_calling_codes)

    def seal(self, number: E164, purpose: Purpose) -> str:
        """The number as opaque text, valid for ten minutes, that a client sends back."""
        return self._seal.seal(number, purpose, now=datetime.now(UTC))

    def unseal(self, sealed: str, purpose: Purpose) -> E164:
        """The number sealed for this purpose. Raises ``CODE_REFUSED`` for a forged or expired seal."""
        return self._seal.unseal(sealed, purpose, now=datetime.now(UTC))

    def _calling_code_of(self, country: str) -> str:
        """The calling code that the code of a country begins with. Mobile numbers of the mainland have no area code."""
        abroad = (code for code in self._served_calling_codes if code != phone.MAINLAND and country.startswith(code))
        return next(abroad, country)
