"""Example values: a field's own, else what its contract shows under its name, else anything of its type."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

BY_FORMAT = {"date-time": "2026-11-20T08:00:00Z", "uuid": "019da4e3-3a78-7092-a46a-1955c106d159"}
BY_TYPE = {"boolean": True, "integer": 0, "number": 0, "null": None, "string": "…"}


@dataclass(frozen=True)
class Examples:
    """``known`` has values by ``field``, or by ``Model.field``; ``schemas`` are what a ``$ref`` may lead to.

    A name that is not known is shown like its last word: ``old_ticket`` like ``ticket``.
    """

    known: Mapping[str, Any]
    schemas: Mapping[str, Json]

    def of(self, schema: Json, name: str = "", model: str = "") -> Any:
        """A value that fits the schema of the field ``name``."""
        for known in (f"{model}.{name}", name, name.rpartition("_")[2]):
            if known in self.known and not schema.keys() & {"const", "examples"}:
                return self.known[known]
        return self._made(self.follow(schema))

    def asked(self, schema: Json) -> Iterator[tuple[str, Json]]:
        """Bodies with what is required and no more: one for each alternative, titled by what sets it apart."""
        schema = self.follow(schema)
        properties = schema.get("properties", {})
        own = [name for name, inner in properties.items() if "examples" in inner]
        for alternative in schema.get("anyOf", [{"required": []}]):
            names = {*schema.get("required", ()), *alternative["required"], *own} or properties.keys()
            title = " + ".join(alternative["required"])
            yield title, self._fields(schema, [name for name in properties if name in names])

    def follow(self, schema: Json) -> Json:
        """The schema itself, at the end of its references."""
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def _made(self, schema: Json) -> Any:
        if "examples" in schema:
            return schema["examples"][0]
        if "properties" in schema:
            return self._fields(schema, [*schema["properties"]])
        if "anyOf" in schema:
            return self.of(schema["anyOf"][0])
        if schema.get("type") == "array":
            return [self.of(schema["items"])]
        likely = BY_FORMAT.get(schema.get("format", ""), BY_TYPE.get(schema.get("type", "string")))
        return [*schema.get("enum", ()), schema.get("const", schema.get("default", likely))][0]

    def _fields(self, schema: Json, names: list[str]) -> Json:
        model = schema.get("title", "")
        return {name: self.of(schema["properties"][name], name, model) for name in names}
