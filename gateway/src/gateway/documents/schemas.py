"""JSON Schema of the models that the code runs on, in the form that linters and generators of clients understand."""

from collections.abc import Iterable
from typing import Any, Literal, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]
INT32_BOUND = 2**31


class _ModelSchema(GenerateJsonSchema):
    """Omits the titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: core_schema.CoreSchema | FieldInfo | Any) -> bool:  # noqa: ARG002
        return False


class _CallSchema(_ModelSchema):
    """Says what a client has to know, and nothing that a generator of clients would read in another way.

    * A field of a request that may be left out is not nullable, and has no default: some generators would require it.
      (The server takes null as absent all the same.)
    * A field of a response is required unless the model excludes it for some values. If null is one, it is never null.
    * An integer has a format, or generators would choose 32 bits.
    """

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        if self.mode == "validation":
            return self.generate_inner(schema["schema"])
        return super().nullable_schema(schema)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def model_field_schema(self, schema: core_schema.ModelField) -> JsonSchemaValue:
        excludes = schema.get("serialization_exclude_if")
        if self.mode == "serialization" and excludes is not None and excludes(None):
            return self.generate_inner(_without_null(schema["schema"]))
        return super().model_field_schema(schema)

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        if self.mode == "serialization":
            return "serialization_exclude_if" not in field
        return super().field_is_required(field, total)

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        bound = schema.get("lt", schema.get("le", INT32_BOUND))
        return super().int_schema(schema) | {"format": "int32" if bound < INT32_BOUND else "int64"}


def _without_null(schema: core_schema.CoreSchema) -> core_schema.CoreSchema:
    """The schema inside those that only add null and a default."""
    while schema["type"] in {"default", "nullable"}:
        schema = cast("core_schema.NullableSchema", schema)["schema"]
    return schema


def schemas_of(
    models: Iterable[tuple[type[BaseModel], Mode]], prefix: str
) -> tuple[dict[tuple[type[BaseModel], Mode], Json], dict[str, Json]]:
    """A reference for each model, and the referenced schemas by name. Each name starts with ``prefix``."""
    return _schemas(models, prefix, _ModelSchema)


def call_schemas(
    models: Iterable[tuple[type[BaseModel], Mode]], prefix: str
) -> tuple[dict[tuple[type[BaseModel], Mode], Json], dict[str, Json]]:
    """The same for the models of calls, as generators of clients need them."""
    references, schemas = _schemas(models, prefix, _CallSchema)
    for schema in schemas.values():
        schema.pop("title", None)  # generators name classes after titles, which are not unique among contracts
        schema.pop("additionalProperties", None)  # clients must not refuse a field that a later release adds
        if "enum" in schema:
            schema.pop("description", None)  # it is what our code needs to know; each field says what it means
    return references, schemas


def _schemas(
    models: Iterable[tuple[type[BaseModel], Mode]], prefix: str, generator: type[GenerateJsonSchema]
) -> tuple[dict[tuple[type[BaseModel], Mode], Json], dict[str, Json]]:
    references, definitions = models_json_schema(
        sorted(set(models), key=lambda each: (each[0].__name__, each[1])),
        by_alias=True,
        ref_template=f"#/components/schemas/{prefix}{{model}}",
        schema_generator=generator,
    )
    by_model = cast("dict[tuple[type[BaseModel], Mode], Json]", references)
    return by_model, {prefix + name: schema for name, schema in definitions.get("$defs", {}).items()}
