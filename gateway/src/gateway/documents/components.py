"""The components of an OpenAPI document: what its calls share, by name."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gateway.documents.schemas import Json


class Components:
    """The components of one kind, such as ``schemas``."""

    def __init__(self, kind: str, by_name: dict[str, Json]) -> None:
        self.by_name = by_name
        self._kind = kind

    def add(self, names: Sequence[str], component: Json) -> Json:
        """Add a component under the first of its names that no other component has. Returns a reference.

        Raises ``ValueError`` if all are taken.
        """
        for name in names:
            if self.by_name.setdefault(name, component) == component:
                return {"$ref": f"#/components/{self._kind}/{name}"}
        raise ValueError(f"other components have the names {names}")


def used_components(
    paths: Json, known: Mapping[str, Mapping[str, Json]], *, always: Collection[tuple[str, str]] = ()
) -> Json:
    """The components, by kind and name, that the paths refer to, those that these refer to, and some in any case."""
    used, before = {*always, *_references(paths)}, set[tuple[str, str]]()
    while used != before:
        before = set(used)
        used |= {found for kind, name in before for found in _references(known[kind][name])}
    return {
        kind: {name: each for name, each in by_name.items() if (kind, name) in used} for kind, by_name in known.items()
    }


def camel(name: str) -> str:
    """``send_code`` as ``SendCode``."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """The kind and the name of each component that a part of a document refers to."""
    if isinstance(value, list):
        for inner in value:
            yield from _references(inner)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                _, _, kind, component = inner.split("/")
                yield kind, component
            elif name == "security":
                yield from (("securitySchemes", scheme) for requirement in inner for scheme in requirement)
            else:
                yield from _references(inner)
