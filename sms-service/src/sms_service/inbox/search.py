"""Searching the inbox: ``to:138 purpose:sign_up`` and any other words, all of which must be found."""

from dataclasses import dataclass

from sms_service.inbox.messages import StoredMessage

MAX_CHARACTERS = 200


@dataclass(frozen=True)
class Search:
    """Everything that a message has to have: parts of its number, of its purpose, of its text."""

    to: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def finds(self, message: StoredMessage) -> bool:
        """Whether the message has all of it. A word may also be a part of the number, digits being digits."""
        text = f"{message.text} {message.to} {message.code}".casefold()
        return (
            all(part in message.to for part in self.to)
            and all(part in message.purpose.value for part in self.purposes)
            and all(word in text for word in self.words)
        )


def parse_search(text: str) -> Search:
    """A search as it is typed. An unknown prefix is a word like any other; too much text is cut."""
    to, purposes, words = [], [], []
    for word in text[:MAX_CHARACTERS].casefold().split():
        prefix, colon, rest = word.partition(":")
        if colon and prefix == "to":
            to.append(rest)
        elif colon and prefix == "purpose":
            purposes.append(rest)
        else:
            words.append(word)
    return Search(tuple(to), tuple(purposes), tuple(words))
