"""The libraries of senders: extras, of which an installation has those that it needs."""

from shared.process.startup import UnreachableError


class MissingLibraryError(UnreachableError):
    """The library of a sender is not installed. Its text says which extra to install."""

    def __init__(self, kind: str, error: ImportError) -> None:
        super().__init__(f"senders of type {kind} need haoma-sms-service[{kind}] ({error.name})")
