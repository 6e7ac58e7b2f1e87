"""The OpenAPI 3.1 document of every call, generated from the descriptions that the calls are registered with."""

import re
from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from gateway.dialect import Dialect
from gateway.documents.examples import Examples
from gateway.documents.refusal_examples import RefusalExample, refusal_examples
from gateway.documents.schemas import Json, Mode, schemas_of
from gateway.http.operations import Operation
from gateway.http.request_body import FORM, JSON, MULTIPART
from gateway.http.session_tokens import SESSION_COOKIE

ABOUT = """\
Phone-number identity for mobile apps. All contracts below share one core: users who register through one of them can
log in through any other. Each contract is a tag; its refusals are examples of the response that carries them.

Responses carry `X-Request-Id` and are `no-store`, except documents and public keys. Temporary refusals carry
`Retry-After`."""

APP_KEY = "`App` and the key of an app's own server, which then has limits of its own."
SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The token of a session, from any contract."},
    "app": {"type": "apiKey", "in": "header", "name": "Authorization", "description": APP_KEY},
    "cookie": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": "The same token."},
}
HEADERS: Json = {
    "Retry-After": {
        "description": "Whole seconds to wait before trying again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Authorization": {"description": "`Bearer` and the token of the session.", "schema": {"type": "string"}},
    "Set-Cookie": {"description": "The same token, not readable by scripts.", "schema": {"type": "string"}},
}
SUCCESS = "success"
"""The name of the example of a successful response."""


def openapi(dialects: Iterable[Dialect], version: str) -> Json:
    """The document as JSON."""
    contracts = [_Contract(dialect) for dialect in dialects]
    paths: Json = {}
    for contract in contracts:
        for operation in contract.dialect.routes:
            paths.setdefault(operation.path, {})[operation.method.lower()] = contract.call(operation)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Haoma 号码", "version": version, "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "tags": [contract.tag for contract in contracts],
        "paths": paths,
        "components": {
            "schemas": {name: schema for contract in contracts for name, schema in contract.schemas.items()},
            "headers": HEADERS,
            "securitySchemes": SECURITY,
        },
    }


class _Contract:
    """One dialect's part of the document."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self._references, self.schemas = schemas_of(_models(dialect), f"{dialect.name}.")
        self._examples = Examples(dialect.examples, self.schemas)

    @property
    def tag(self) -> Json:
        about = markdown(self.dialect.about or "").removeprefix(f"{self.dialect.name}: ")
        return {"name": self.dialect.name, "description": about}

    def call(self, operation: Operation) -> Json:
        summary, _, more = markdown(operation.description).partition("\n")
        by_post = operation.method == "POST" and any(
            other.method in {"GET", "PATCH"} and other.handler is operation.handler for other in self.dialect.routes
        )
        described: Json = {
            "operationId": f"{self.dialect.name}.{operation.name}" + (".post" if by_post else ""),
            "tags": [self.dialect.name],
            "summary": summary.removesuffix("."),
            "description": more.strip(),
            "parameters": [*self._in_path(operation), *self._in_query(operation)],
            "requestBody": self._body(operation),
            "responses": self._responses(operation),
            "security": self._security(operation),
        }
        return {key: value for key, value in described.items() if value}

    def _in_path(self, operation: Operation) -> Iterator[Json]:
        for name in re.findall(r"\{(\w+)\}", operation.path):
            schema: Json = {"type": "string", **({"format": "uuid"} if name == "id" else {})}
            example = str(self._examples.of(schema, name))
            yield {"name": name, "in": "path", "required": True, "schema": schema, "example": example}

    def _in_query(self, operation: Operation) -> Iterator[Json]:
        if operation.method != "GET" or operation.parameters is None:
            return
        schema = self._examples.follow(self._reference(operation.parameters, "validation"))
        for name, inner in schema["properties"].items():
            required = name in schema.get("required", ())
            example = self._examples.of(inner, name)
            yield {"name": name, "in": "query", "required": required, "schema": inner, "example": example}

    def _body(self, operation: Operation) -> Json:
        if operation.method == "GET" or operation.parameters is None:
            return {}
        reference = self._reference(operation.parameters, "validation")
        examples = {
            title or "request": {"value": value, **({"summary": title} if title else {})}
            for title, value in self._examples.requests(reference)
        }
        content: Json = {JSON: {"schema": reference, "examples": examples}}
        fields = self._examples.follow(reference)["properties"]
        if all(self._fits_a_form(inner) for inner in fields.values()):
            objects = [name for name, inner in fields.items() if "properties" in self._examples.follow(inner)]
            nested = {name: {"style": "deepObject", "explode": True} for name in objects}
            form = {"schema": reference, "examples": examples, **({"encoding": nested} if nested else {})}
            content |= {FORM: form, MULTIPART: form}
        return {"required": True, "content": content}

    def _fits_a_form(self, schema: Json) -> bool:
        schema = self._examples.follow(schema)
        kinds = {schema.get("type")} | {each.get("type") for each in schema.get("anyOf", ())}
        return "boolean" not in kinds

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
            content[JSON] = self._success(body)
        if status in operation.responses and operation.returns_token:
            headers += ["Authorization", "Set-Cookie"]
        for each in refusals:
            self._add_refusal(content, each)
        if refusals:
            description.append("Refusal: " + ", ".join(each.name for each in refusals) + ".")
        response: Json = {"description": " ".join(description)}
        if headers:
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
        return response | ({"content": content} if content else {})

    def _success(self, body: type[BaseModel] | BaseModel) -> Json:
        reference = self._reference(body if isinstance(body, type) else type(body), "serialization")
        value = self._examples.of(reference) if isinstance(body, type) else body.model_dump(mode="json")
        return {"schema": reference, "examples": {SUCCESS: {"summary": "Success.", "value": value}}}

    def _add_refusal(self, content: Json, refusal: RefusalExample) -> None:
        """Add a refusal to the examples of its status and media type."""
        reference = self._reference(self.dialect.refusal, "serialization")
        media = content.setdefault(refusal.media_type, {"schema": reference, "examples": {}})
        if media["schema"] != reference and "anyOf" not in media["schema"]:
            media["schema"] = {"anyOf": [media["schema"], reference]}
        media["examples"][refusal.name] = {"summary": refusal.cause, "value": refusal.body}

    def _security(self, operation: Operation) -> list[Json]:
        schemes: list[Json] = [{token: []} for token in self.dialect.tokens if operation.login != "none"]
        if operation.login == "required":
            return schemes
        schemes += [{"app": []}] if operation.parameters else []
        return [{}, *schemes] if schemes else []

    def _reference(self, model: type[BaseModel], mode: Mode) -> Json:
        return self._references[model, mode]


def markdown(text: str) -> str:
    """A docstring as CommonMark: without indentation, with code in single backticks."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\n".join(lines).replace("``", "`")


def _models(dialect: Dialect) -> Iterator[tuple[type[BaseModel], Mode]]:
    yield dialect.refusal, "serialization"
    for operation in dialect.routes:
        if operation.parameters is not None:
            yield operation.parameters, "validation"
        for body in operation.responses.values():
            if body is not None:
                yield body if isinstance(body, type) else type(body), "serialization"
