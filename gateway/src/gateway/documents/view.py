"""The two documents as a page shows them: calls with their variants together, fields in rows, examples as text."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from gateway.documents.schemas import Json

GATEWAY = "$GATEWAY_URL"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Row:
    """One field. Nested ones are named with dots, those of an array's entries with ``[]``."""

    name: str
    type: str
    required: bool
    rules: str


@dataclass(frozen=True)
class Answer:
    status: str
    rows: list[Row]
    example: str
    headers: list[str]


@dataclass(frozen=True)
class Refusal:
    status: str
    name: str
    when: str
    body: str
    waits: bool


@dataclass
class Call:
    """One call; ``methods`` are several where it may be made in several ways. ``taken`` says in which forms."""

    id: str
    path: str
    summary: str
    description: str
    login: str
    methods: list[str] = field(default_factory=list)
    taken: str = ""
    rows: list[Row] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True)
class Contract:
    name: str
    about: str
    calls: list[Call]


@dataclass(frozen=True)
class Event:
    key: str
    title: str
    about: str
    rows: list[Row]
    example: str


def contracts(document: Json) -> Iterator[Contract]:
    """The contracts of an OpenAPI document, in its order."""
    view = _View(document["components"])
    for tag in document["tags"]:
        calls: dict[str, Call] = {}
        for path, methods in document["paths"].items():
            for method, described in methods.items():
                if tag["name"] in described["tags"]:
                    view.add(calls, path, method, described)
        yield Contract(tag["name"], tag["description"], [*calls.values()])


def events(document: Json) -> Iterator[Event]:
    """The events of an AsyncAPI document, in its order."""
    view = _View(document["components"])
    for key, message in document["components"]["messages"].items():
        payload = view.follow(message["payload"])
        example = message["examples"][0]["payload"]
        rows = [*view.rows(payload["properties"]["data"])]
        yield Event(key, message["title"], message["description"], rows, pretty(example))


class _View:
    """Reads a document with the components that its references lead to."""

    def __init__(self, components: Json) -> None:
        self._components = components

    def follow(self, schema: Json) -> Json:
        while "$ref" in schema:
            _, _, kind, name = schema["$ref"].split("/")
            schema = self._components[kind][name]
        return schema

    def add(self, calls: dict[str, Call], path: str, method: str, described: Json) -> None:
        """Add a call, or one more way to make it."""
        identity = described["operationId"].removesuffix(".post")
        call = calls.setdefault(
            identity,
            Call(identity, path, described["summary"], described.get("description", ""), _login(described)),
        )
        call.methods.append(method.upper())
        body = described.get("requestBody", {}).get("content", {})
        if len(call.methods) > 1:
            call.taken = "query_or_body"
        else:
            call.taken = "json_or_form" if FORM in body else "json" if body else ""
            call.rows = [*self._asked(described, body)]
            call.answers, call.refusals = self._answers(described)
        call.requests += [*_requests(path, method.upper(), described, body)]

    def rows(self, schema: Json, prefix: str = "") -> Iterator[Row]:
        """The fields of an object, those inside it after it."""
        schema = self.follow(schema)
        for name, inner in schema.get("properties", {}).items():
            yield from self._row(prefix + name, inner, required=name in schema.get("required", ()))

    def _row(self, name: str, schema: Json, *, required: bool) -> Iterator[Row]:
        schema = self.follow(schema)
        yield Row(name, self._type(schema), required, _rules(schema))
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

    def _asked(self, described: Json, body: Json) -> Iterator[Row]:
        for each in described.get("parameters", ()):
            yield from self._row(each["name"], each["schema"], required=each["required"])
        for content in [*body.values()][:1]:
            yield from self.rows(content["schema"])

    def _answers(self, described: Json) -> tuple[list[Answer], list[Refusal]]:
        answers, refusals = [], []
        for status, response in described["responses"].items():
            waits = "Retry-After" in response.get("headers", {})
            content = response.get("content", {})
            if response["description"].startswith("Done."):
                headers = [name for name in response.get("headers", {}) if name != "Retry-After"]
                answers.append(self._answer(status, content.get("application/json"), headers))
            for shown in content.values():
                for name, example in shown["examples"].items():
                    if name != "done":
                        body = compact(example["value"])
                        refusals.append(Refusal(status, name, example["summary"], body, waits))
        return answers, refusals

    def _answer(self, status: str, content: Json | None, headers: list[str]) -> Answer:
        if content is None:
            return Answer(status, [], "", headers)
        schema = content["schema"].get("anyOf", [content["schema"]])[0]
        return Answer(status, [*self.rows(schema)], pretty(content["examples"]["done"]["value"]), headers)


def pretty(value: Any) -> str:
    """JSON for reading."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def compact(value: Any) -> str:
    """JSON in one line."""
    return json.dumps(value, ensure_ascii=False)


def _login(described: Json) -> str:
    ways = described.get("security", [])
    return "" if not ways else "login_optional" if {} in ways else "login_required"


def _rules(schema: Json) -> str:
    """What a value must look like, in short."""
    if "const" in schema:
        return f"= {compact(schema['const'])}"
    said = [str(schema[key]) for key in ("pattern", "format") if key in schema]
    if "maxLength" in schema:
        said.append(f"{schema.get('minLength', 0)}…{schema['maxLength']}")
    if "enum" in schema:
        said.append(" | ".join(str(each) for each in schema["enum"]))
    if schema.get("default") not in (None, ""):
        said.append(f"default {compact(schema['default'])}")
    return ", ".join(said)


def _requests(path: str, method: str, described: Json, body: Json) -> Iterator[tuple[str, str]]:
    """A command for each example of a request, titled where there are several."""
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
