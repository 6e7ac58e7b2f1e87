"""JSON Schema of the models that the code runs on."""

from collections.abc import Iterable
from typing import Any, Literal, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]


class _Untitled(GenerateJsonSchema):
    """Omits the titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: core_schema.CoreSchema | FieldInfo | Any) -> bool:  # noqa: ARG002
        return False


def schemas_of(
    models: Iterable[tuple[type[BaseModel], Mode]], prefix: str
) -> tuple[dict[tuple[type[BaseModel], Mode], Json], dict[str, Json]]:
    """A reference for each model, and the referenced schemas by name. Each name starts with ``prefix``."""
    template = f"#/components/schemas/{prefix}{{model}}"
    references, definitions = models_json_schema(
        sorted(set(models), key=lambda each: (each[0].__name__, each[1])),
        by_alias=True,
        ref_template=template,
        schema_generator=_Untitled,
    )
    by_model = cast("dict[tuple[type[BaseModel], Mode], Json]", references)
    return by_model, {prefix + name: schema for name, schema in definitions.get("$defs", {}).items()}
