"""The contents of the documents: every call of every contract and every event, with the words to find it by."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.documents.schemas import Json

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class ContentsItem:
    """One call or event. ``anchor`` is its place on its page; ``words`` is what a filter searches."""

    anchor: str
    title: str
    method: str
    words: str


@dataclass(frozen=True)
class Group:
    """The items of one page."""

    name: str
    items: list[ContentsItem]


def contracts(document: Json) -> Iterator[Group]:
    """One group for each contract of an OpenAPI document, in its order."""
    for tag in document["tags"]:
        calls = [
            (method, path, call)
            for path, item in document["paths"].items()
            for method, call in item.items()
            if method in METHODS and tag["name"] in call["tags"]
        ]
        yield Group(tag["name"], [_call(document["components"], *call) for call in calls])


def events(document: Json) -> Group:
    """The events of an AsyncAPI document, in its order."""
    messages = document["components"]["messages"]
    return Group("events", [ContentsItem(key, key, "", _words(key, message)) for key, message in messages.items()])


def _call(components: Json, method: str, path: str, call: Json) -> ContentsItem:
    (contract,) = call["tags"]
    name = call["operationId"].removeprefix(f"{contract}_")  # its name in the contract's own document, which is shown
    anchor = f"/{contract}/{name}"  # as Swagger UI writes the address of a call
    return ContentsItem(anchor, path, method.upper(), _words(method, path, _with_examples(components, call)))


def _with_examples(components: Json, node: Any) -> Any:
    """A part of a document, with its examples in place of the references to them."""
    if isinstance(node, list):
        return [_with_examples(components, each) for each in node]
    if not isinstance(node, dict):
        return node
    reference = str(node.get("$ref", ""))
    if reference.startswith("#/components/examples/"):
        return components["examples"][reference.rpartition("/")[2]]
    return {key: _with_examples(components, value) for key, value in node.items()}


def _words(*sources: Any) -> str:
    """The distinct words of texts and documents, in lower case: names, descriptions, examples."""
    text = " ".join(json.dumps(source, ensure_ascii=False) for source in sources).lower()
    return " ".join(dict.fromkeys(re.findall(r"[\w./{}-]+", text)))
