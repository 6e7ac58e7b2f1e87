"""The calls of one contract as OpenAPI, generated from the descriptions that they are registered with."""

import re
from collections.abc import Iterator

from pydantic import BaseModel

from gateway.dialect import Dialect
from gateway.documents.components import Components, camel
from gateway.documents.examples import Examples
from gateway.documents.fields import FieldDocs, markdown
from gateway.documents.refusals import RefusalExample, RefusalSchemas, refusal_examples
from gateway.documents.schemas import Json, Mode, call_schemas
from gateway.http.body.media_types import JSON
from gateway.http.operations import Operation
from gateway.http.request_parsing import Parameters

SUCCESS = "success"
"""The name of the example of a successful response."""


class ContractCalls:
    """The paths and components of a dialect. ``qualified`` puts its name before those of calls and components."""

    def __init__(self, dialect: Dialect, *, qualified: bool) -> None:
        self.dialect = dialect
        self._call_prefix = f"{dialect.name}_" if qualified else ""
        self._prefix = camel(dialect.name) if qualified else ""
        self._references, schemas = call_schemas(_models(dialect), self._prefix)
        self._shown = {name: _with_examples(schema) for name, schema in schemas.items()}
        self._field_docs = FieldDocs(dialect.fields)
        for name, schema in schemas.items():
            self._field_docs.describe(name.removeprefix(self._prefix), schema)
        self._values = Examples({}, schemas)
        self.schemas = Components("schemas", schemas)
        self.examples = Components("examples", {})
        refusal = _name_of(self._reference(dialect.refusal, "serialization"))
        self._refusals = RefusalSchemas(self.schemas, refusal, dialect.refusal_code, self._prefix)

    def paths(self) -> Json:
        """The described calls by path and method."""
        found: Json = {}
        for operation in self.dialect.routes:
            if operation.method == operation.methods[0]:
                found.setdefault(operation.path, {})[operation.method.lower()] = self._call(operation)
        return found

    def _call(self, operation: Operation) -> Json:
        about = markdown(operation.description)
        also = [*operation.methods[1:]]
        described: Json = {
            "operationId": self._call_prefix + operation.name,
            "tags": [self.dialect.name],
            "summary": re.split(r"\.(?:\s|$)", about, maxsplit=1)[0],
            "description": about + (f"\n\n{' and '.join(also)} does the same." if also else ""),
            "parameters": [*self._in_path(operation), *self._in_query(operation)],
            "requestBody": self._body(operation),
            "responses": self._responses(operation),
        }
        return {key: value for key, value in described.items() if value} | {"security": self._security(operation)}

    def _in_path(self, operation: Operation) -> Iterator[Json]:
        for name in re.findall(r"\{(\w+)\}", operation.path):
            schema: Json = {"type": "string", **({"format": "uuid"} if name == "id" else {})}
            yield self._parameter(name, "path", schema | self._field_docs.about(name, "", schema), required=True)

    def _in_query(self, operation: Operation) -> Iterator[Json]:
        if operation.method != "GET":
            return
        for model in operation.parameters:
            schema = self._values.follow(self._reference(model, "validation"))
            for name, inner in schema["properties"].items():
                yield self._parameter(name, "query", inner, required=name in schema.get("required", ()))

    def _parameter(self, name: str, place: str, schema: Json, *, required: bool) -> Json:
        example = self._values.of(schema, name)
        if schema.get("type") == "string":
            example = str(example)  # an id has the example of bodies, where it may be a number
        rules = {key: value for key, value in schema.items() if key not in {"description", "examples"}}
        described = {"name": name, "in": place, "required": required, "description": schema.get("description", "")}
        return {**described, "schema": rules, "example": example}

    def _body(self, operation: Operation) -> Json:
        if operation.method == "GET" or not operation.parameters:
            return {}
        references = [self._reference(model, "validation") for model in operation.parameters]
        schema = references[0]
        if len(references) > 1:
            schema = self.schemas.add([self._prefix + camel(operation.name)], {"oneOf": references})
        examples = {model.__name__: self._request(operation, model) for model in operation.parameters}
        return {"required": True, "content": {JSON: {"schema": schema, "examples": examples}}}

    def _request(self, operation: Operation, model: type[Parameters]) -> Json:
        reference = self._reference(model, "validation")
        value = self._values.request(reference, self._shown[_name_of(reference)])
        return self._example(operation, model.__name__, {"value": value})

    def _example(self, operation: Operation, name: str, example: Json) -> Json:
        names = [name, f"{operation.name}.{name}"]
        qualifier = f"{self.dialect.name}." if self._prefix else ""
        return self.examples.add([qualifier + each for each in names], example)

    def _responses(self, operation: Operation) -> Json:
        refusals = refusal_examples(self.dialect, operation)
        responses = {}
        for status in sorted({*operation.responses, *(each.status for each in refusals)}):
            of_status = [each for each in refusals if each.status == status]
            responses[str(status)] = self._response(operation, status, of_status)
        return responses

    def _response(self, operation: Operation, status: int, refusals: list[RefusalExample]) -> Json:
        content: Json = {}
        headers = ["Retry-After"] if any(each.has_retry_after for each in refusals) else []
        description = ["Success."] if status in operation.responses else []
        body = operation.responses.get(status)
        if body is not None:
            content[JSON] = self._success(operation, body)
        if status in operation.responses and operation.returns_token:
            headers += ["Authorization", "Set-Cookie"]
        if refusals:
            self._add_refusals(content, operation, status, refusals)
            codes = dict.fromkeys(code.value for each in refusals for code in each.codes)
            description.append("Refusal: " + ", ".join(codes) + ".")
        response: Json = {"description": " ".join(description)}
        if headers:
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
        return response | ({"content": content} if content else {})

    def _success(self, operation: Operation, body: type[BaseModel] | BaseModel) -> Json:
        model = body if isinstance(body, type) else type(body)
        reference = self._reference(model, "serialization")
        value = self._values.of(reference) if isinstance(body, type) else body.model_dump(mode="json")
        example = self._example(operation, model.__name__, {"summary": "Success.", "value": value})
        return {"schema": reference, "examples": {SUCCESS: example}}

    def _add_refusals(self, content: Json, operation: Operation, status: int, refusals: list[RefusalExample]) -> None:
        """Add the refusals to the examples of their status; a dialect has one media type for all of them."""
        reference = self._refusals.reference(operation.name, status, refusals)
        media = content.setdefault(refusals[0].media_type, {"schema": reference, "examples": {}})
        if media["schema"] != reference:
            media["schema"] = {"oneOf": [media["schema"], reference]}
        for each in refusals:
            example = {"summary": each.cause, "value": each.body}
            media["examples"][each.name] = self._example(operation, each.name, example)

    def _security(self, operation: Operation) -> list[Json]:
        if operation.login == "none":
            return []
        schemes: list[Json] = [{token: []} for token in self.dialect.tokens]
        return schemes if operation.login == "required" else [{}, *schemes]

    def _reference(self, model: type[BaseModel], mode: Mode) -> Json:
        return self._references[model, mode]


def _with_examples(schema: Json) -> list[str]:
    """The properties whose model has an example itself: requests show them, even if they are optional."""
    return [name for name, inner in schema.get("properties", {}).items() if "examples" in inner]


def _name_of(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _models(dialect: Dialect) -> Iterator[tuple[type[BaseModel], Mode]]:
    yield dialect.refusal, "serialization"
    for operation in dialect.routes:
        for model in operation.parameters:
            yield model, "validation"
        for body in operation.responses.values():
            if body is not None:
                yield body if isinstance(body, type) else type(body), "serialization"
