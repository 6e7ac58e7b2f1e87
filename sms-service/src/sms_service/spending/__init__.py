"""What messages cost, what may be spent, and who is slowed or stopped when it is spent for nothing."""

from shared.errors import ErrorCode, ServiceError

SPENDING_STOPPED = "spending_stopped"
"""The failure of a message for which there is no money, or whose prefix is stopped."""
LIMITER = "spending"
"""What events and metrics call the one who refused."""


class StoppedError(ServiceError):
    """Nothing may be sent to a number for now. On the wire it is "busy": the person can do nothing but come later."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(ErrorCode.UNAVAILABLE, retry_after=max(1, retry_after))
