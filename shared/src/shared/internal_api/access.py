"""Who may make a call: refuses the tokens that are unknown, and those of another principal."""

from collections.abc import Container, Mapping

import orjson
import structlog
from pydantic import SecretStr

from shared.internal_api.principals import CALL_NOT_ALLOWED, UNKNOWN_TOKEN, Principal, PrincipalTokens
from shared.internal_api.replies import Reply
from shared.process.metrics import count_refusal

log = structlog.get_logger()


class Access:
    """The tokens of one service, and what it answers to those who may not make a call."""

    def __init__(self, tokens: Mapping[Principal, SecretStr | None]) -> None:
        self._tokens = PrincipalTokens(tokens)

    def refuse(self, authorization: str, allowed: Container[Principal], route: str) -> Reply | None:
        """401 for an unknown token, 403 for that of a principal who is not ``allowed``; None if the call may be made.

        Neither is an ``ErrorCode``, so that no contract tells a user to log in again (``TokenRefusedError``).
        """
        principal = self._tokens.principal_of(authorization)
        if principal is None:
            return _refusal(401, UNKNOWN_TOKEN, principal, route)
        return None if principal in allowed else _refusal(403, CALL_NOT_ALLOWED, principal, route)


def _refusal(status: int, code: str, principal: Principal | None, route: str) -> Reply:
    count_refusal(code, route)
    log.warning("internal_call.refused", error=code, principal=principal, route=route)
    return Reply(status, orjson.dumps({"type": "about:blank", "title": code, "status": status, "code": code}))
