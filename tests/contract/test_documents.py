"""The documents are valid and complete, and they agree with the recorded cases."""

import ast
import inspect
import json
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import validate
from support.asyncapi import schema as asyncapi_schema
from support.contract_cases import CASES, read_case

from gateway.dialect_registry import choose, installed_dialects
from gateway.documents import routes as documents
from gateway.documents.asyncapi import asyncapi
from gateway.documents.openapi import openapi
from gateway.http.operations import Operation
from shared.events.catalogue import EVENTS
from shared.events.envelope import EXCHANGE, CloudEvent
from shared.process.version import VERSION

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]
OPERATIONS = [
    pytest.param(operation, id=f"{operation.method} {operation.path}")
    for dialect in installed_dialects()
    for operation in dialect.routes
]


@cache
def calls() -> Json:
    return json.loads(json.dumps(openapi(installed_dialects(), "1")))


@cache
def events() -> Json:
    return json.loads(json.dumps(asyncapi("1")))


def described(operation: Operation) -> Json:
    return calls()["paths"][operation.path][operation.method.lower()]


def accepts(schema: Json, value: Any, components: Json) -> bool:
    """Whether a value is valid under a schema that refers to the components of a document."""
    whole = {**schema, "components": components, "$schema": "https://json-schema.org/draft/2020-12/schema"}
    return jsonschema.Draft202012Validator(whole).is_valid(value)


def test_the_calls_are_a_valid_openapi_document() -> None:
    validate(calls())
    assert calls()["openapi"].startswith("3.1.")


def test_exactly_the_calls_that_are_served_are_described() -> None:
    served = {(route.method, route.path) for dialect in installed_dialects() for route in dialect.routes}
    documented = {(method.upper(), path) for path, methods in calls()["paths"].items() for method in methods}
    assert documented == served
    names = [described["operationId"] for methods in calls()["paths"].values() for described in methods.values()]
    assert len(names) == len(set(names))


def test_a_dialect_that_is_off_is_not_described() -> None:
    everything = installed_dialects()
    for dialect in everything:
        others = [other.name for other in everything if other is not dialect]
        document = openapi(choose(everything, others), "1")
        validate(document)
        assert not [path for path in document["paths"] if dialect.owns.fullmatch(path)]
        assert not [name for name in document["components"]["schemas"] if name.startswith(f"{dialect.name}.")]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_example_is_valid_under_its_schema(operation: Operation) -> None:
    description = described(operation)
    bodies = [description.get("requestBody", {}), *description["responses"].values()]
    examples_by_schema = [
        (content["schema"], content["examples"]) for body in bodies for content in body.get("content", {}).values()
    ]
    assert examples_by_schema or operation.responses.keys() == {204}
    for schema, examples in examples_by_schema:
        for name, example in examples.items():
            assert accepts(schema, example["value"], calls()["components"]), (name, example)
    for parameter in description.get("parameters", ()):
        assert accepts(parameter["schema"], parameter["example"], calls()["components"]), parameter


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_example_of_a_request_is_accepted_by_its_call(operation: Operation) -> None:
    description = described(operation)
    if operation.parameters is None:
        assert "requestBody" not in description
        return
    if operation.method == "GET":
        operation.parameters.model_validate({each["name"]: each["example"] for each in description["parameters"]})
        return
    for example in description["requestBody"]["content"]["application/json"]["examples"].values():
        operation.parameters.model_validate(example["value"])


def test_every_field_has_an_example_of_its_own() -> None:
    """An ellipsis stands for a text without an example."""
    assert re.findall(r'"(\w+)": "…"', json.dumps(calls(), ensure_ascii=False)) == []
    assert re.findall(r'"(\w+)": "…"', json.dumps(events(), ensure_ascii=False)) == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_handler_reads_the_parameters_of_its_description(operation: Operation) -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(operation.handler)))
    read = [
        node.args[1].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "read_parameters"
    ]
    assert read == ([operation.parameters.__name__] if operation.parameters else [])


def steps() -> list[Any]:
    """Every recorded exchange with a documented call."""
    steps_found = []
    for path in sorted(CASES.glob("*/*.json")):
        for number, step in enumerate(read_case(path)["steps"], 1):
            if "request" in step and step["response"]["status"] != 405:
                steps_found.append(pytest.param(step, id=f"{path.parent.name}/{path.stem}/{number}"))
    return steps_found


def find(method: str, path: str) -> Json | None:
    for known, methods in sorted(calls()["paths"].items(), key=lambda entry: "{" in entry[0]):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), path) and method.lower() in methods:
            return methods[method.lower()]
    return None


def test_every_recorded_response_is_documented() -> None:
    """Its status is documented, and its codes and texts are those of an example."""
    undocumented = []
    for parameter in steps():
        request, response = parameter.values[0]["request"], parameter.values[0]["response"]
        description = find(request["method"], request["path"])
        if description is None:
            continue
        documented = description["responses"].get(str(response["status"]))
        if documented is None:
            undocumented.append((parameter.id, response["status"]))
            continue
        examples = [
            e["value"] for content in documented.get("content", {}).values() for e in content["examples"].values()
        ]
        if response.get("body") and not any(alike(response["body"], example) for example in examples):
            undocumented.append((parameter.id, response["body"]))
    assert undocumented == []


CODES_AND_TEXTS = ("error_code", "errorCode", "code", "error", "error_message", "msg", "message")


def alike(recorded: Any, example: Any) -> bool:
    """Whether a response has the fields of the example, with the same codes and texts."""
    if not isinstance(recorded, dict) or not isinstance(example, dict):
        return type(recorded) is type(example)
    optional = {"retry_after", "field"}
    if recorded.keys() - optional != example.keys() - optional:
        return False
    same = [word for word in CODES_AND_TEXTS if isinstance(recorded.get(word), str) and "<" not in recorded[word]]
    return all(recorded[word] == example[word] for word in same)


def test_the_events_are_a_valid_asyncapi_document() -> None:
    jsonschema.validators.validator_for(asyncapi_schema())(asyncapi_schema()).validate(events())


def test_an_invalid_asyncapi_document_is_detected() -> None:
    broken = json.loads(json.dumps(events()))
    broken["operations"]["publish.auth.user.registered.v1"]["action"] = "publish"
    assert not jsonschema.validators.validator_for(asyncapi_schema())(asyncapi_schema()).is_valid(broken)


def test_every_event_has_a_channel_under_its_routing_key() -> None:
    channels = events()["channels"]
    assert [channel["address"] for channel in channels.values()] == [event.key for event in EVENTS]
    assert {channel["bindings"]["amqp"]["exchange"]["name"] for channel in channels.values()} == {EXCHANGE}


def test_every_class_of_an_event_has_a_name_that_generators_can_use() -> None:
    schemas = events()["components"]["schemas"]
    assert [name for name in schemas if not name.isidentifier()] == []
    titles = [schema["title"] for schema in schemas.values()]
    assert [title for title in titles if not title.isidentifier()] == []
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.key)
def test_only_the_request_and_the_trace_of_an_event_are_optional(event: Any) -> None:
    schema = events()["components"]["schemas"][f"{event.__name__}Event"]
    assert {*schema["properties"]} - {*schema["required"]} == {"requestid", "traceparent"}


def test_the_words_of_a_field_are_listed_in_the_document() -> None:
    words = ("cause", "limiter", "reason", "failure", "method", "purpose")
    fields = {
        (name, word): schema["properties"][word]
        for name, schema in events()["components"]["schemas"].items()
        for word in words
        if word in schema.get("properties", {})
    }
    assert {word for _, word in fields} == {*words}
    assert [place for place, field in fields.items() if not field.get("enum")] == []


def test_the_address_of_the_broker_is_a_variable() -> None:
    server = events()["servers"]["rabbitmq"]
    assert re.findall(r"{(\w+)}", server["host"]) == [*server["variables"]]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.key)
def test_every_example_of_an_event_is_valid(event: Any) -> None:
    message = events()["components"]["messages"][event.key]
    example = message["examples"][0]["payload"]
    assert accepts(message["payload"], example, events()["components"])
    envelope = CloudEvent[event].model_validate(example)
    assert (envelope.type, envelope.subject) == (event.key, getattr(envelope.data, event.subject_field))
    assert message["summary"]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [value["$ref"]] if "$ref" in value else [ref for inner in value.values() for ref in references(inner)]
    return [ref for inner in value for ref in references(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("document", [calls, events])
def test_every_reference_of_a_document_has_a_target(document: Any) -> None:
    whole = document()
    for reference in set(references(whole)):
        target = whole
        for name in reference.removeprefix("#/").split("/"):
            target = target[name]


@pytest.fixture
async def client() -> Any:
    app = web.Application()
    documents.mount(app, installed_dialects())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json"])
async def test_a_document_has_the_version_of_the_release(client: Any, path: str) -> None:
    assert (await (await client.get(path)).json())["info"]["version"] == VERSION


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json", "/docs"])
async def test_a_document_can_be_cached_for_five_minutes(client: Any, path: str) -> None:
    response = await client.get(path)
    assert (response.status, response.headers["Cache-Control"]) == (200, "public, max-age=300")


@pytest.mark.parametrize("path", ["/openapi.json", "/asyncapi.json"])
async def test_an_unchanged_document_is_not_sent_again(client: Any, path: str) -> None:
    tag = (await client.get(path)).headers["ETag"]
    assert (await client.get(path, headers={"If-None-Match": tag})).status == 304
    assert (await client.get(path)).content_type == "application/json"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("path", ["/docs", "/docs/tel", "/docs/events"])
async def test_the_contents_of_every_page_lead_to_every_call_and_event(client: Any, path: str, language: str) -> None:
    response = await client.get(path, params={"lang": language})
    page = await response.text()
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["Content-Language"] == language
    linked = set(re.findall(r'<li data-words="[^"]+"><a href="[^"#]*#([^"]+)"', page))
    described = [call for methods in calls()["paths"].values() for call in methods.values()]
    operations = {f"/{call['tags'][0]}/{call['operationId']}" for call in described}
    assert linked == operations | {event.key for event in EVENTS}


@pytest.mark.parametrize("path", ["/docs", "/docs/events"])
async def test_a_page_has_no_inline_or_foreign_resources_and_all_its_links_work(client: Any, path: str) -> None:
    page = await (await client.get(path)).text()
    assert not re.findall(r"<style|<script(?![^>]*\bsrc=)| style=| on\w+=", page)
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert [link for link in links if not link.startswith(("/", "#", "?"))] == []
    for link in {link for link in links if link.startswith("/")}:
        assert (await client.get(link)).status == 200


async def test_the_page_of_events_shows_every_event(client: Any) -> None:
    page = await (await client.get("/docs/events")).text()
    assert set(re.findall(r'<article class="card" id="([^"]+)"', page)) == {event.key for event in EVENTS}


@pytest.mark.parametrize("name", ["swagger-ui.js", "swagger-ui.css"])
async def test_the_viewer_is_compressed_and_an_unchanged_one_is_not_sent_again(client: Any, name: str) -> None:
    first = await client.get(f"/docs/viewer/{name}", headers={"Accept-Encoding": "gzip"})
    assert (first.status, first.headers["Content-Encoding"]) == (200, "gzip")
    assert int(first.headers["Content-Length"]) < len(await first.read()) / 3
    again = await client.get(f"/docs/viewer/{name}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    plain = await client.get(f"/docs/viewer/{name}", headers={"Accept-Encoding": "identity"})
    assert await plain.read() == await first.read()


@pytest.mark.parametrize("name", ["templates.py", "scalar.js", "..%2fswagger_bundle.js"])
async def test_other_files_of_the_viewers_package_are_not_served(client: Any, name: str) -> None:
    assert (await client.get(f"/docs/viewer/{name}")).status == 404


async def test_the_root_leads_to_the_documents(client: Any) -> None:
    response = await client.get("/?lang=en", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (302, "/docs?lang=en")


async def test_all_readers_of_a_language_get_the_same_page(client: Any) -> None:
    first = await (await client.get("/docs", params={"lang": "en", "utm": "<script>1</script>"})).text()
    second = await (await client.get("/docs", headers={"Accept-Language": "en"})).text()
    assert first == second
    assert "utm" not in first
