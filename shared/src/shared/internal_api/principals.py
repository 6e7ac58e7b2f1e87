"""Who makes an internal call, and the tokens that tell: one for each pair of a principal and a service."""

import hmac
from collections.abc import Mapping
from enum import StrEnum

from pydantic import SecretStr

from shared.keys import active_tokens

UNKNOWN_TOKEN = "unknown_token"  # noqa: S105  a refusal
CALL_NOT_ALLOWED = "call_not_allowed"
TOKEN_REFUSALS = frozenset({UNKNOWN_TOKEN, CALL_NOT_ALLOWED})
"""Why a call is refused before it is read."""


class Principal(StrEnum):
    """A process or a person that calls a service."""

    GATEWAY = "gateway"
    SMS_SERVICE = "sms-service"
    SMS_WORKER = "sms-worker"
    CONTACTS_SERVICE = "contacts-service"
    OPERATOR = "operator"


class PrincipalTokens:
    """The tokens that one service accepts, each of one principal."""

    def __init__(self, tokens: Mapping[Principal, SecretStr | None]) -> None:
        """``tokens`` are as ``active_tokens`` reads them; a principal without any is unknown."""
        self._headers = [
            (principal, f"Bearer {token}".encode())
            for principal, secret in tokens.items()
            if secret is not None
            for token in active_tokens(secret.get_secret_value())
        ]

    def principal_of(self, authorization: str) -> Principal | None:
        """The principal of an ``Authorization`` header; None if its token is unknown.

        The time does not depend on which token it is, nor on how much of one is right.
        """
        presented, found = authorization.encode(errors="replace"), None
        for principal, expected in self._headers:
            if hmac.compare_digest(presented, expected):
                found = principal
        return found
