"""The documents as the page shows them: one entry for each call, fields as rows, examples as text."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from gateway.documents.openapi import SUCCESS
from gateway.documents.schemas import Json

GATEWAY = "$GATEWAY_URL"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class FieldRow:
    """One field. A dot separates nested names; ``[]`` marks the items of an array."""

    name: str
    type: str
    required: bool
    rules: str


@dataclass(frozen=True)
class ResponseView:
    status: str
    rows: list[FieldRow]
    example: str
    headers: list[str]


@dataclass(frozen=True)
class RefusalView:
    status: str
    name: str
    cause: str
    body: str


@dataclass
class CallView:
    """One call, with all methods it can be made with. ``formats`` names how its parameters can be sent."""

    id: str
    path: str
    summary: str
    description: str
    login: str
    methods: list[str] = field(default_factory=list)
    formats: str = ""
    rows: list[FieldRow] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    responses: list[ResponseView] = field(default_factory=list)
    refusals: list[RefusalView] = field(default_factory=list)


@dataclass(frozen=True)
class ContractView:
    name: str
    about: str
    calls: list[CallView]


@dataclass(frozen=True)
class EventView:
    key: str
    title: str
    about: str
    rows: list[FieldRow]
    example: str


def contracts(document: Json) -> Iterator[ContractView]:
    """The contracts of an OpenAPI document, in its order."""
    reader = _DocumentReader(document["components"])
    for tag in document["tags"]:
        calls: dict[str, CallView] = {}
        for path, methods in document["paths"].items():
            for method, described in methods.items():
                if tag["name"] in described["tags"]:
                    reader.add(calls, path, method, described)
        yield ContractView(tag["name"], tag["description"], [*calls.values()])


def events(document: Json) -> Iterator[EventView]:
    """The events of an AsyncAPI document, in its order."""
    reader = _DocumentReader(document["components"])
    for key, message in document["components"]["messages"].items():
        payload = reader.follow(message["payload"])
        example = message["examples"][0]["payload"]
        rows = [*reader.rows(payload["properties"]["data"])]
        yield EventView(key, message["title"], message["description"], rows, pretty(example))


class _DocumentReader:
    """Reads a document; its references lead to ``components``."""

    def __init__(self, components: Json) -> None:
        self._components = components

    def follow(self, schema: Json) -> Json:
        while "$ref" in schema:
            _, _, kind, name = schema["$ref"].split("/")
            schema = self._components[kind][name]
        return schema

    def add(self, calls: dict[str, CallView], path: str, method: str, described: Json) -> None:
        """Add a call, or another method of one."""
        identity = described["operationId"].removesuffix(".post")
        call = calls.setdefault(
            identity,
            CallView(identity, path, described["summary"], described.get("description", ""), _login(described)),
        )
        call.methods.append(method.upper())
        body = described.get("requestBody", {}).get("content", {})
        if len(call.methods) > 1:
            call.formats = "query_or_body"
        else:
            call.formats = "json_or_form" if FORM in body else "json" if body else ""
            call.rows = [*self._parameters(described, body)]
            call.responses, call.refusals = self._responses(described)
        call.requests += [*_requests(path, method.upper(), described, body)]

    def rows(self, schema: Json, prefix: str = "") -> Iterator[FieldRow]:
        """The fields of an object, each followed by its nested fields."""
        schema = self.follow(schema)
        for name, inner in schema.get("properties", {}).items():
            yield from self._row(prefix + name, inner, required=name in schema.get("required", ()))

    def _row(self, name: str, schema: Json, *, required: bool) -> Iterator[FieldRow]:
        schema = self.follow(schema)
        yield FieldRow(name, self._type(schema), required, _rules(schema))
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

    def _parameters(self, described: Json, body: Json) -> Iterator[FieldRow]:
        for each in described.get("parameters", ()):
            yield from self._row(each["name"], each["schema"], required=each["required"])
        for content in [*body.values()][:1]:
            yield from self.rows(content["schema"])

    def _responses(self, described: Json) -> tuple[list[ResponseView], list[RefusalView]]:
        successes: list[ResponseView] = []
        refusals: list[RefusalView] = []
        for status, response in described["responses"].items():
            content = response.get("content", {})
            if response["description"].startswith("Success."):
                headers = [name for name in response.get("headers", {}) if name != "Retry-After"]
                successes.append(self._success(status, content.get("application/json"), headers))
            refusals += _refusals(status, content)
        return successes, refusals

    def _success(self, status: str, content: Json | None, headers: list[str]) -> ResponseView:
        if content is None:
            return ResponseView(status, [], "", headers)
        schema = content["schema"].get("anyOf", [content["schema"]])[0]
        return ResponseView(status, [*self.rows(schema)], pretty(content["examples"][SUCCESS]["value"]), headers)


def _refusals(status: str, content: Json) -> Iterator[RefusalView]:
    for media in content.values():
        for name, example in media["examples"].items():
            if name != SUCCESS:
                yield RefusalView(status, name, example["summary"], compact(example["value"]))


def pretty(value: Any) -> str:
    """Indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def _login(described: Json) -> str:
    schemes = described.get("security", [])
    return "" if not schemes else "login_optional" if {} in schemes else "login_required"


def _rules(schema: Json) -> str:
    """The constraints on a value, in short."""
    if "const" in schema:
        return f"= {compact(schema['const'])}"
    rules = [str(schema[key]) for key in ("pattern", "format") if key in schema]
    if "maxLength" in schema:
        rules.append(f"{schema.get('minLength', 0)}…{schema['maxLength']}")
    if "enum" in schema:
        rules.append(" | ".join(str(each) for each in schema["enum"]))
    if schema.get("default") not in (None, ""):
        rules.append(f"default {compact(schema['default'])}")
    return ", ".join(rules)


def _requests(path: str, method: str, described: Json, body: Json) -> Iterator[tuple[str, str]]:
    """A title and a curl command for each example of a request."""
    for each in described.get("parameters", ()):
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", str(each["example"]))
    query = {each["name"]: each["example"] for each in described.get("parameters", ()) if each["in"] == "query"}
    address = f'"{GATEWAY}{path}' + (f"?{urlencode(query)}" if query else "") + '"'
    command = ["curl", *([] if method in {"GET", "POST"} else ["-X", method]), address]
    if described.get("security"):
        command.append('-H "Authorization: Bearer $TOKEN"')
    examples = [*body.values()][:1]
    if not examples:
        yield method, " ".join(command)
    for content in examples:
        for name, example in content["examples"].items():
            data = shlex.quote(compact(example["value"]))
            title = method if name == "request" else name
            yield title, " ".join([*command, "-H 'Content-Type: application/json'", "\\\n  -d", data])
