"""Marks of numbers and names that the user source does not have."""

import hmac

from auth_service.accounts.usernames import name_key
from shared.phone import E164


class AbsenceMarks:
    """A mark stands for a number or a name that was asked for. It cannot be read back without the key."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"absent user", "sha256")

    def of_phone(self, phone: E164) -> bytes:
        """The mark of a number: 16 bytes."""
        return self._mark(f"phone {phone}")

    def of_name(self, name: str) -> bytes:
        """The mark of a name, the same for all of its spellings."""
        return self._mark(f"name {name_key(name)}")

    def _mark(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), "sha256")[:16]
