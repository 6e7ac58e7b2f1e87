"""What a document says of each field: its meaning and an example, from the contract's own table."""

from collections.abc import Mapping

from gateway.documents.schemas import Json
from gateway.http.operations import FieldDoc


class FieldDocs:
    """The table of a contract, by ``field`` or by ``Model.field``.

    A field that the table lacks uses the entry of its last word: ``old_ticket`` uses ``ticket``.
    """

    def __init__(self, table: Mapping[str, FieldDoc]) -> None:
        self._table = table

    def describe(self, model: str, schema: Json) -> None:
        """Add to each property of a model's schema what the table says of it."""
        if "description" in schema:
            schema["description"] = markdown(schema["description"])
        for name, inner in schema.get("properties", {}).items():
            inner.update(self.about(name, model, inner))

    def about(self, name: str, model: str, schema: Json) -> Json:
        """The description of a field, and its example unless its schema has one, or says all there is to say."""
        doc = next((self._table[key] for key in _keys(model, name) if key in self._table), None)
        if doc is None:
            return {}
        needs_example = doc.example is not ... and not schema.keys() & {"const", "examples", "$ref"}
        return {"description": doc.about} | ({"examples": [doc.example]} if needs_example else {})


def _keys(model: str, name: str) -> tuple[str, str, str]:
    return f"{model}.{name}", name, name.rpartition("_")[2]


def markdown(text: str) -> str:
    """A docstring as CommonMark: without indentation, with code in single backticks."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\n".join(lines).replace("``", "`")
