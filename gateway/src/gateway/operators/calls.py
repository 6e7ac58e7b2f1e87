"""What operators can ask: each call with the endpoint that does it, the service that serves it, and its role."""

from dataclasses import dataclass

from gateway.named_operators import Role
from shared.internal_api.endpoint import AnyEndpoint
from shared.internal_api.operators import accounts, codes, parked, senders
from shared.internal_api.operators.requests import ServiceName

SET_BY_US = frozenset({"operator", "sees_numbers"})
"""The fields of a request that say who asks. Operators cannot set them."""


@dataclass(frozen=True)
class OperatorCall:
    """``POST /v1/<name>`` of the operator API, and ``operate <name>`` on the command line.

    ``role`` is the least that it takes. Without a ``service`` the request names one.
    """

    name: str
    endpoint: AnyEndpoint
    role: Role = Role.OPERATOR
    service: ServiceName | None = ServiceName.AUTH

    @property
    def about(self) -> str:
        """What the call does, in a sentence or two."""
        return " ".join((self.endpoint.request.__doc__ or "").split())


CALLS = {
    call.name: call
    for call in (
        OperatorCall("find", accounts.FIND_ACCOUNT, Role.SUPPORT),
        OperatorCall("ban", accounts.BAN_ACCOUNT),
        OperatorCall("unban", accounts.UNBAN_ACCOUNT),
        OperatorCall("end-sessions", accounts.END_ACCOUNT_SESSIONS),
        OperatorCall("erase", accounts.ERASE_ACCOUNT),
        OperatorCall("export", accounts.EXPORT_ACCOUNT),
        OperatorCall("audit", accounts.LIST_AUDIT, Role.SUPPORT),
        OperatorCall("explain", codes.EXPLAIN_CODES, Role.SUPPORT, ServiceName.SMS),
        OperatorCall("lift-code-limits", codes.LIFT_CODE_LIMITS, service=ServiceName.SMS),
        OperatorCall("lift-login-limits", accounts.LIFT_LOGIN_LIMITS),
        OperatorCall("unblock", codes.UNBLOCK_PREFIX, service=ServiceName.SMS),
        OperatorCall("senders", senders.LIST_SENDERS, Role.SUPPORT, ServiceName.SMS),
        OperatorCall("test-message", senders.SEND_TEST_MESSAGE, service=ServiceName.SMS),
        OperatorCall("parked", parked.LIST_PARKED, Role.SUPPORT, service=None),
        OperatorCall("show-parked", parked.SHOW_PARKED, Role.SUPPORT, service=None),
        OperatorCall("replay", parked.REPLAY_PARKED, service=None),
        OperatorCall("drop", parked.DROP_PARKED, service=None),
    )
}
