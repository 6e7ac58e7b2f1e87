"""The names of the reasons for which spending refuses a number or a message, and the error that carries them."""

from typing import Final

from shared.errors import ErrorCode, ServiceError

BUDGET_EXHAUSTED = "budget_exhausted"
"""A budget cannot pay: the failure of a message, and the reason to refuse a number."""
CHEAPER_UNAVAILABLE = "cheaper_unavailable"
"""The failure of a message that only a cheaper sender could have carried, while none of those could be called."""
PREFIX_BLOCKED = "prefix_blocked"
"""The prefix is throttled or blocked: the failure of a message, and the reason to refuse a number."""
SPENDING_LIMITER: Final = "spending"
"""The limiter's name in events and metrics, for both reasons."""


class BlockedError(ServiceError):
    """No message may go to a number for now. Most contracts answer "busy", since the user can only try again later.

    ``reason`` is ``PREFIX_BLOCKED`` or ``BUDGET_EXHAUSTED``, for the operator.
    """

    def __init__(self, retry_after: int, reason: str = PREFIX_BLOCKED) -> None:
        super().__init__(ErrorCode.SENDING_PAUSED, retry_after=max(1, retry_after))
        self.reason = reason
