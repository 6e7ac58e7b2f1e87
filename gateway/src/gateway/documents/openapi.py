"""OpenAPI 3.1 for every call of every dialect that is on, made of what the calls are registered with."""

import re
from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from gateway.dialect import SESSION_COOKIE, Dialect
from gateway.documents.examples import Examples
from gateway.documents.refused import Refused, refusals_of
from gateway.documents.schemas import Json, Mode, schemas_of
from gateway.operations import Operation

ABOUT = """\
Phone-number identity for mobile apps. One core speaks every contract below: whoever registers through one of them
logs in through any other. Each contract is a tag; its refusals are examples of the answer that carries them.

Every answer is `no-store` and carries `X-Request-Id`. A refusal that passes by itself carries `Retry-After`."""

SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The token of a session, of any contract."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": "The same token."},
}
HEADERS: Json = {
    "Retry-After": {
        "description": "Whole seconds until it is worth trying again.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Authorization": {"description": "`Bearer` and the token of the session.", "schema": {"type": "string"}},
    "Set-Cookie": {"description": "The same token, out of reach of scripts.", "schema": {"type": "string"}},
}
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def openapi(dialects: Iterable[Dialect], version: str) -> Json:
    """The document."""
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
        summary, _, more = markdown(operation.text).partition("\n")
        by_post = operation.method == "POST" and any(
            other.method == "GET" and other.handler is operation.handler for other in self.dialect.routes
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
        if operation.method != "GET" or operation.asks is None:
            return
        schema = self._examples.follow(self._reference(operation.asks, "validation"))
        for name, inner in schema["properties"].items():
            required = name in schema.get("required", ())
            example = self._examples.of(inner, name)
            yield {"name": name, "in": "query", "required": required, "schema": inner, "example": example}

    def _body(self, operation: Operation) -> Json:
        if operation.method == "GET" or operation.asks is None:
            return {}
        reference = self._reference(operation.asks, "validation")
        examples = {
            title or "request": {"value": value, **({"summary": title} if title else {})}
            for title, value in self._examples.asked(reference)
        }
        content: Json = {JSON: {"schema": reference, "examples": examples}}
        fields = self._examples.follow(reference)["properties"]
        if all(self._fits_a_form(inner) for inner in fields.values()):
            nested = {
                name: {"style": "deepObject", "explode": True} for name, inner in fields.items() if "$ref" in inner
            }
            nested = {name: how for name, how in nested.items() if "properties" in self._examples.follow(fields[name])}
            content[FORM] = {"schema": reference, "examples": examples, **({"encoding": nested} if nested else {})}
        return {"required": True, "content": content}

    def _fits_a_form(self, schema: Json) -> bool:
        schema = self._examples.follow(schema)
        kinds = {schema.get("type")} | {each.get("type") for each in schema.get("anyOf", ())}
        return not kinds & {"array", "boolean"}

    def _responses(self, operation: Operation) -> Json:
        refused = refusals_of(self.dialect, operation)
        responses = {}
        for status in sorted({*operation.answers, *(each.status for each in refused)}):
            here = [each for each in refused if each.status == status]
            responses[str(status)] = self._response(operation, status, here)
        return responses

    def _response(self, operation: Operation, status: int, refused: list[Refused]) -> Json:
        content: Json = {}
        headers = ["Retry-After"] if any(each.waits for each in refused) else []
        said = ["Done."] if status in operation.answers else []
        shown = operation.answers.get(status)
        if shown is not None:
            model = shown if isinstance(shown, type) else type(shown)
            reference = self._reference(model, "serialization")
            value = self._examples.of(reference) if isinstance(shown, type) else shown.model_dump(mode="json")
            content[JSON] = {"schema": reference, "examples": {"done": {"summary": "Done.", "value": value}}}
        if status in operation.answers and operation.gives_token:
            headers += ["Authorization", "Set-Cookie"]
        for each in refused:
            self._add(content, each)
        if refused:
            said.append("Refused: " + ", ".join(each.name for each in refused) + ".")
        response: Json = {"description": " ".join(said)}
        if headers:
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
        return response | ({"content": content} if content else {})

    def _add(self, content: Json, refused: Refused) -> None:
        """One more refusal among the answers of one status and kind."""
        reference = self._reference(self.dialect.refusal, "serialization")
        here = content.setdefault(refused.media, {"schema": reference, "examples": {}})
        if here["schema"] != reference and "anyOf" not in here["schema"]:
            here["schema"] = {"anyOf": [here["schema"], reference]}
        here["examples"][refused.name] = {"summary": refused.when, "value": refused.body}

    def _security(self, operation: Operation) -> list[Json]:
        if operation.login == "none":
            return []
        ways: list[Json] = [{token: []} for token in self.dialect.tokens]
        return ways if operation.login == "required" else [{}, *ways]

    def _reference(self, model: type[BaseModel], mode: Mode) -> Json:
        return self._references[model, mode]


def markdown(text: str) -> str:
    """A docstring as CommonMark: no indent, code in single backticks."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\n".join(lines).replace("``", "`")


def _models(dialect: Dialect) -> Iterator[tuple[type[BaseModel], Mode]]:
    yield dialect.refusal, "serialization"
    for operation in dialect.routes:
        if operation.asks is not None:
            yield operation.asks, "validation"
        for shown in operation.answers.values():
            if shown is not None:
                yield shown if isinstance(shown, type) else type(shown), "serialization"
