"""What the rooms that write accounts have in common."""


class ConflictError(Exception):
    """Another request was faster: the ticket, the number, the name or the account is no longer as it was read."""
