"""Searches the inbox: ``to:138 purpose:sign_up`` and any other words. A message must contain all of them."""

from dataclasses import dataclass

from sms_service.inbox.messages import StoredMessage

MAX_CHARACTERS = 200


@dataclass(frozen=True)
class Search:
    """What a message must contain: parts of its number, parts of its purpose, and words of its text."""

    to: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def finds(self, message: StoredMessage) -> bool:
        """Whether the message contains all of it. A word may also match digits of the number or the code."""
        text = f"{message.text} {message.to} {message.code}".casefold()
        return (
            all(part in message.to for part in self.to)
            and all(part in message.purpose.value for part in self.purposes)
            and all(word in text for word in self.words)
        )


def parse_search(text: str) -> Search:
    """The search that a user typed. An unknown prefix is an ordinary word, and a text that is too long is cut."""
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
