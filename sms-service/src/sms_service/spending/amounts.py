"""Amounts of money as fields of the settings file."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from sms_service.config_file.fields import Prefix
from sms_service.spending.money import micros


def _parse_amount(amount: Any) -> int:
    return micros(amount if isinstance(amount, str) else "")


Amount = Annotated[int, BeforeValidator(_parse_amount)]
"""An amount in micros. The file has it as text, so that no fraction is rounded on the way."""
Prices = dict[Prefix, Amount]
"""The price of one segment for numbers with a prefix; the longest prefix of a number decides."""
