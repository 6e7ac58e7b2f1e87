"""The providers' libraries: optional extras. An installation has those that its senders need."""

from shared.process.startup import UnreachableError


class MissingLibraryError(UnreachableError):
    """The library of a sender is not installed. Its text names the extra to install."""

    def __init__(self, kind: str, error: ImportError) -> None:
        super().__init__(f"senders of type {kind} need haoma-sms-service[{kind}] ({error.name})")
