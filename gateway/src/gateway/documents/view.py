"""The events of the documents as their page shows them: fields as rows, examples as text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.documents.schemas import Json


@dataclass(frozen=True)
class FieldRow:
    """One field. A dot separates nested names; ``[]`` marks the items of an array."""

    name: str
    type: str
    rules: str


@dataclass(frozen=True)
class EventView:
    key: str
    title: str
    about: str
    rows: list[FieldRow]
    example: str


def events(document: Json) -> Iterator[EventView]:
    """The events of an AsyncAPI document, in its order."""
    schemas = _Schemas(document["components"])
    for key, message in document["components"]["messages"].items():
        payload = schemas.follow(message["payload"])
        example = message["examples"][0]["payload"]
        rows = [*schemas.rows(payload["properties"]["data"])]
        yield EventView(key, message["title"], message["description"], rows, _indented(example))


class _Schemas:
    """Reads the schemas of a document; their references lead to ``components``."""

    def __init__(self, components: Json) -> None:
        self._components = components

    def follow(self, schema: Json) -> Json:
        while "$ref" in schema:
            _, _, kind, name = schema["$ref"].split("/")
            schema = self._components[kind][name]
        return schema

    def rows(self, schema: Json, prefix: str = "") -> Iterator[FieldRow]:
        """The fields of an object, each followed by its nested fields."""
        schema = self.follow(schema)
        for name, inner in schema.get("properties", {}).items():
            yield from self._row(prefix + name, self.follow(inner))

    def _row(self, name: str, schema: Json) -> Iterator[FieldRow]:
        yield FieldRow(name, self._type(schema), _rules(schema))
        if schema.get("type") == "array":
            yield from self.rows(schema["items"], f"{name}[].")
        yield from self.rows(schema, f"{name}.")

    def _type(self, schema: Json) -> str:
        schema = self.follow(schema)
        if "anyOf" in schema and "properties" not in schema:
            return " | ".join(dict.fromkeys(self._type(each) for each in schema["anyOf"]))
        if schema.get("type") == "array":
            return f"{self._type(schema['items'])}[]"
        return str(schema.get("type", "any"))


def _rules(schema: Json) -> str:
    """The constraints on a value, in short."""
    if "const" in schema:
        return f"= {json.dumps(schema['const'], ensure_ascii=False)}"
    rules = [str(schema[key]) for key in ("pattern", "format") if key in schema]
    if "maxLength" in schema:
        rules.append(f"{schema.get('minLength', 0)}…{schema['maxLength']}")
    if "enum" in schema:
        rules.append(" | ".join(str(each) for each in schema["enum"]))
    return ", ".join(rules)


def _indented(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
