"""What messages cost, what may be spent, and who is slowed or stopped when it is spent for nothing."""

from shared.errors import ErrorCode, ServiceError

SPENDING_STOPPED = "spending_stopped"
"""The failure of a message for which there is no money; also why a number is refused."""
CHEAPER_AWAY = "cheaper_away"
"""The failure of a message for which there is no money, unless by cheaper senders that cannot be asked just then."""
PREFIX_STOPPED = "prefix_stopped"
"""The failure of a message whose prefix is slowed or stopped; also why a number is refused."""
LIMITER = "spending"
"""What events and metrics call the one who refused."""


class StoppedError(ServiceError):
    """Nothing may be sent to a number for now. In most contracts it is "busy": the person can only come later.

    ``why`` is ``PREFIX_STOPPED`` or ``SPENDING_STOPPED``, for the operator.
    """

    def __init__(self, retry_after: int, why: str = PREFIX_STOPPED) -> None:
        super().__init__(ErrorCode.SENDING_PAUSED, retry_after=max(1, retry_after))
        self.why = why
