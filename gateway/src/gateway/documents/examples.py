"""Example values: the field's own example, or the contract's example for that name, or a value of the field's type."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

BY_FORMAT = {"date-time": "2026-11-20T08:00:00Z", "uuid": "019da4e3-3a78-7092-a46a-1955c106d159"}
BY_TYPE = {"boolean": True, "integer": 0, "number": 0, "null": None, "string": "…"}


@dataclass(frozen=True)
class Examples:
    """``known`` has values by ``field`` or by ``Model.field``; ``schemas`` are the targets of ``$ref``.

    A name without a value uses that of its last word: ``old_ticket`` uses ``ticket``.
    """

    known: Mapping[str, Any]
    schemas: Mapping[str, Json]

    def of(self, schema: Json, name: str = "", model: str = "") -> Any:
        """An example value for the field ``name`` with this schema."""
        for known in (f"{model}.{name}", name, name.rpartition("_")[2]):
            if known in self.known and not schema.keys() & {"const", "examples"}:
                return self.known[known]
        return self._generate(schema if "examples" in schema else self.follow(schema))

    def request(self, schema: Json, also: Collection[str] = ()) -> Json:
        """A request with the required fields and some others, or with all fields if that makes none."""
        schema = self.follow(schema)
        names = {*schema.get("required", ()), *also}
        properties = schema.get("properties", {})
        return self._fields(schema, [name for name in properties if name in names] or [*properties])

    def follow(self, schema: Json) -> Json:
        """The schema that the references lead to."""
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def _generate(self, schema: Json) -> Any:
        if "examples" in schema:
            return schema["examples"][0]
        if "properties" in schema:
            return self._fields(schema, [*schema["properties"]])
        if "anyOf" in schema:
            return self.of(schema["anyOf"][0])
        if schema.get("type") == "array":
            return [self.of(schema["items"])]
        default = BY_FORMAT.get(schema.get("format", ""), BY_TYPE.get(schema.get("type", "string")))
        return [*schema.get("enum", ()), schema.get("const", schema.get("default", default))][0]

    def _fields(self, schema: Json, names: list[str]) -> Json:
        model = schema.get("title", "")
        return {name: self.of(schema["properties"][name], name, model) for name in names}
