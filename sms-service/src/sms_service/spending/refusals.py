"""What messages cost, what may be spent, and who is slowed or stopped when it is spent for nothing."""

from shared.errors import ErrorCode, ServiceError

BUDGET_EXHAUSTED = "budget_exhausted"
"""The failure of a message for which there is no money; also why a number is refused."""
CHEAPER_UNAVAILABLE = "cheaper_unavailable"
"""The failure of a message for which there is no money, unless by cheaper senders that cannot be asked just then."""
PREFIX_BLOCKED = "prefix_blocked"
"""The failure of a message whose prefix is slowed or stopped; also why a number is refused."""
SPENDING_LIMITER = "spending"
"""What events and metrics call the one who refused."""


class BlockedError(ServiceError):
    """Nothing may be sent to a number for now. In most contracts it is "busy": the person can only come later.

    ``why`` is ``PREFIX_BLOCKED`` or ``BUDGET_EXHAUSTED``, for the operator.
    """

    def __init__(self, retry_after: int, why: str = PREFIX_BLOCKED) -> None:
        super().__init__(ErrorCode.SENDING_PAUSED, retry_after=max(1, retry_after))
        self.why = why
