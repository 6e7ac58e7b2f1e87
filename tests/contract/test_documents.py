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

from auth_service.tokens.access_tokens import LIFETIME as TOKEN_LIFETIME
from gateway.challenges import read_challenge
from gateway.dialect import Dialect
from gateway.dialect_registry import choose, installed_dialects
from gateway.documents import routes as documents
from gateway.documents.asyncapi import asyncapi
from gateway.documents.openapi import openapi, openapi_of
from gateway.http.operations import Operation
from shared.events.catalogue import EVENTS
from shared.events.envelope import EXCHANGE, CloudEvent
from shared.internal_api.sms import Purpose
from shared.process.version import VERSION
from shared.tickets import LIFETIME as TICKET_LIFETIME
from sms_service.otp import CODE_LIFETIME

ROOT = Path(__file__).parents[2]
Json = dict[str, Any]
OPERATIONS = [
    pytest.param(operation, id=f"{operation.method} {operation.path}")
    for dialect in installed_dialects()
    for operation in dialect.routes
    if operation.method == operation.methods[0]
]
DIALECTS = pytest.mark.parametrize("dialect", installed_dialects(), ids=lambda dialect: dialect.name)


@cache
def calls() -> Json:
    return json.loads(json.dumps(openapi(installed_dialects(), "1")))


@cache
def events() -> Json:
    return json.loads(json.dumps(asyncapi("1")))


def described(operation: Operation) -> Json:
    return calls()["paths"][operation.path][operation.methods[0].lower()]


def values_of(content: Json) -> list[Any]:
    """The example values of a body."""
    examples = calls()["components"]["examples"]
    return [examples[each["$ref"].rpartition("/")[2]]["value"] for each in content["examples"].values()]


def accepts(schema: Json, value: Any, components: Json) -> bool:
    """Whether a value is valid under a schema that refers to the components of a document."""
    whole = {**schema, "components": components, "$schema": "https://json-schema.org/draft/2020-12/schema"}
    return jsonschema.Draft202012Validator(whole).is_valid(value)


def test_the_calls_are_a_valid_openapi_document() -> None:
    validate(calls())
    assert calls()["openapi"].startswith("3.1.")


@DIALECTS
def test_the_document_of_a_contract_has_its_calls_under_names_of_their_own(dialect: Dialect) -> None:
    document = json.loads(json.dumps(openapi_of(dialect, "1")))
    validate(document)
    names = [described["operationId"] for methods in document["paths"].values() for described in methods.values()]
    assert sorted(names) == sorted(each.name for each in dialect.routes if each.method == each.methods[0])
    assert document["paths"].keys() == {path for path in calls()["paths"] if dialect.owns.fullmatch(path)}
    assert [name for name in [*names, *document["components"]["schemas"]] if not name.isidentifier()] == []


@DIALECTS
def test_generators_can_name_a_package_after_the_title(dialect: Dialect) -> None:
    assert openapi_of(dialect, "1")["info"]["title"].isascii()


def test_the_contract_for_new_apps_comes_first() -> None:
    assert calls()["tags"][0]["name"] == "native"
    assert next(iter(calls()["paths"])).startswith("/v2/")


def test_exactly_the_calls_that_are_served_are_described_each_once() -> None:
    """A call that can also be made with another method says so."""
    routes = [route for dialect in installed_dialects() for route in dialect.routes]
    documented = {(method.upper(), path) for path, methods in calls()["paths"].items() for method in methods}
    assert documented == {(route.methods[0], route.path) for route in routes}
    assert {(route.method, route.path) for route in routes} >= documented
    for route in routes:
        assert all(f"{method} does the same" in described(route)["description"] for method in route.methods[1:])
    names = [described["operationId"] for methods in calls()["paths"].values() for described in methods.values()]
    assert len(names) == len(set(names))
    assert [name for name in [*names, *calls()["components"]["schemas"]] if not name.isidentifier()] == []


def test_every_call_says_who_may_make_it_and_what_it_does() -> None:
    for methods in calls()["paths"].values():
        for described in methods.values():
            assert described.keys() >= {"security", "summary", "description"}


def test_a_dialect_that_is_off_is_not_described() -> None:
    everything = installed_dialects()
    for dialect in everything:
        others = [other.name for other in everything if other is not dialect]
        document = openapi(choose(everything, others), "1")
        validate(document)
        assert not [path for path in document["paths"] if dialect.owns.fullmatch(path)]
        assert not [name for name in document["components"]["examples"] if name.startswith(f"{dialect.name}.")]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_example_is_valid_under_its_schema(operation: Operation) -> None:
    description = described(operation)
    bodies = [description.get("requestBody", {}), *description["responses"].values()]
    contents = [content for body in bodies for content in body.get("content", {}).values()]
    assert contents or operation.responses.keys() == {204}
    for content in contents:
        assert content["examples"]
        for value in values_of(content):
            assert accepts(content["schema"], value, calls()["components"]), value
    for parameter in description.get("parameters", ()):
        assert accepts(parameter["schema"], parameter["example"], calls()["components"]), parameter


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_example_of_a_request_is_accepted_by_its_call(operation: Operation) -> None:
    description = described(operation)
    if not operation.parameters:
        assert "requestBody" not in description
        return
    if operation.method == "GET":
        (model,) = operation.parameters
        model.model_validate({each["name"]: each["example"] for each in description["parameters"]})
        return
    values = values_of(description["requestBody"]["content"]["application/json"])
    for model, value in zip(operation.parameters, values, strict=True):
        model.model_validate(value)


@pytest.mark.parametrize("name", ["CheckChallenge", "CheckNumber", "ChangePassword", "ResetPassword"])
def test_a_body_of_two_kinds_is_valid_as_exactly_one_of_them(name: str) -> None:
    schemas = calls()["components"]["schemas"]
    (whole,) = [
        each for each in schemas.values() if {"$ref": f"#/components/schemas/Native{name}"} in each.get("oneOf", ())
    ]
    value = calls()["components"]["examples"][f"native.{name}"]["value"]
    assert accepts(whole, value, calls()["components"])
    assert not accepts(whole, {}, calls()["components"])


def code_field_of(operation: Operation) -> str | None:
    """The field with the code of a refusal, in the contract of this call."""
    (name,) = [dialect.refusal_code for dialect in installed_dialects() if dialect.owns.fullmatch(operation.path)]
    return name


def properties() -> list[Any]:
    """Every property of every schema, with the names of both."""
    schemas = calls()["components"]["schemas"]
    return [
        pytest.param(schema, inner, id=f"{name}.{field}")
        for name, schema in schemas.items()
        for field, inner in schema.get("properties", {}).items()
    ]


def test_every_field_has_a_description_and_an_example() -> None:
    fields = properties()
    assert len(fields) > 300
    assert [field.id for field in fields if not field.values[1].get("description")] == []
    lacking = [
        field.id
        for field in fields
        if not field.values[1].keys() & {"examples", "enum", "const", "$ref"} and field.values[1]["type"] != "array"
    ]
    assert lacking == []
    assert re.findall(r'"(\w+)": "…"', json.dumps(calls(), ensure_ascii=False)) == []
    assert re.findall(r'"(\w+)": "…"', json.dumps(events(), ensure_ascii=False)) == []


def test_a_parameter_has_a_description() -> None:
    parameters = [
        parameter
        for methods in calls()["paths"].values()
        for described in methods.values()
        for parameter in described.get("parameters", ())
    ]
    assert len(parameters) > 5
    assert [parameter["name"] for parameter in parameters if not parameter["description"]] == []


def test_the_document_has_only_words_of_json_schema() -> None:
    """Not pydantic's own words for a bound, and nothing that our classes say to each other."""
    text = json.dumps(calls())
    assert {word for word in ("ge", "gt", "le", "lt") if f'"{word}":' in text} == set()
    assert [name for name, schema in calls()["components"]["schemas"].items() if "title" in schema] == []
    assert "``" not in text
    enums = [schema for schema in calls()["components"]["schemas"].values() if "enum" in schema]
    assert enums
    assert [schema for schema in enums if "description" in schema] == []


def test_every_integer_has_a_width() -> None:
    integers = [
        field for field in properties() if field.values[1].get("type") == "integer" and "const" not in field.values[1]
    ]
    assert [field.id for field in integers if field.values[1].get("format") not in {"int32", "int64"}] == []
    widths = {field.id: field.values[1]["format"] for field in integers}
    assert {widths["NativeAccount.user_id"], widths["TelUser.userId"], widths["PhoneInfoUser.createTime"]} == {"int64"}
    assert widths["TelTel.dialCode"] == "int32"


def test_a_field_that_may_be_left_out_of_a_request_is_not_nullable() -> None:
    """Generators would require it, or make its type more than it is."""
    for operation in OPERATIONS:
        for model in operation.values[0].parameters:
            names = [name for name in calls()["components"]["schemas"] if name.endswith(model.__name__)]
            for schema in (calls()["components"]["schemas"][name] for name in names):
                assert "null" not in json.dumps(schema)
                assert "default" not in json.dumps(schema).replace("By default", "").replace("the default", "")


def test_a_field_that_may_be_left_out_of_a_response_is_not_nullable_and_has_no_default() -> None:
    schema = calls()["components"]["schemas"]["NativeCodeRefusedProblem"]
    assert {*schema["properties"]} - {*schema["required"]} == {"retry_after", "field", "tries_left"}
    assert "default" not in json.dumps(schema)
    assert calls()["components"]["schemas"]["NativePublicKey"]["properties"]["y"]["type"] == "string"
    assert "token_type" in calls()["components"]["schemas"]["NativeTokens"]["required"]


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if code_field_of(each.values[0])])
def test_the_code_of_a_refusal_is_one_of_those_of_its_call_and_status(operation: Operation) -> None:
    name = code_field_of(operation)
    found = 0
    for response in described(operation)["responses"].values():
        for content in response.get("content", {}).values():
            values = [value[name] for value in values_of(content) if name in value]
            references = content["schema"].get("oneOf", [content["schema"]])
            schemas = [calls()["components"]["schemas"][each["$ref"].rpartition("/")[2]] for each in references]
            codes = [schema["properties"].get(name, {}) for schema in schemas]
            words = [word for code in codes for word in code.get("enum", [code.get("const")]) if word is not None]
            assert words == list(dict.fromkeys(values))
            found += len(words)
    assert found > 1


@pytest.mark.parametrize(
    ("model", "field", "seconds"),
    [
        ("CodeSent", "expires_in", CODE_LIFETIME.total_seconds()),
        ("CodeChecked", "expires_in", TICKET_LIFETIME.total_seconds()),
        ("Tokens", "expires_in", TOKEN_LIFETIME.total_seconds()),
        ("CodeSent", "resend_after", 60),
    ],
)
def test_an_example_is_what_the_call_returns(model: str, field: str, seconds: float) -> None:
    assert calls()["components"]["examples"][f"native.{model}"]["value"][field] == seconds


def test_the_example_of_a_challenge_is_one() -> None:
    purpose, _ = read_challenge(calls()["components"]["examples"]["native.CheckChallenge"]["value"]["challenge"])
    assert purpose is Purpose.SIGN_UP


def test_a_refusal_that_tells_the_tries_left_says_what_to_do() -> None:
    examples = calls()["components"]["examples"]
    alive, dead = (examples[f"native.code_refused.{left}_tries_left"]["value"] for left in (4, 0))
    assert (alive["tries_left"], dead["tries_left"]) == (4, 0)
    assert "try again" in alive["detail"]
    assert "Request a new one" in dead["detail"]
    assert examples["native.code_refused"]["value"].keys() == dead.keys() - {"tries_left"}
    limited = examples["native.code_refused.limited"]["value"]
    assert limited.keys() == dead.keys() - {"tries_left"}
    assert "Try again later" in limited["detail"]
    assert "new" not in limited["detail"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_handler_reads_the_parameters_of_its_description(operation: Operation) -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(operation.handler)))
    read = [
        argument.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"read_parameters", "read_unchecked", "read_one_of", "read_unchecked_one_of", "read_proof"}
        for argument in node.args[1:]
        if isinstance(argument, ast.Name)
    ]
    assert read == [model.__name__ for model in operation.parameters]


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
        examples = [value for content in documented.get("content", {}).values() for value in values_of(content)]
        if response.get("body") and not any(alike(response["body"], example) for example in examples):
            undocumented.append((parameter.id, response["body"]))
    assert undocumented == []


CODES_AND_TEXTS = ("error_code", "errorCode", "code", "error", "error_message", "msg", "message")


def alike(recorded: Any, example: Any) -> bool:
    """Whether a response has the fields of the example, with the same codes and texts."""
    if not isinstance(recorded, dict) or not isinstance(example, dict):
        return type(recorded) is type(example)
    optional = {"retry_after", "field", "tries_left"}
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


def test_every_component_is_used_but_the_scheme_of_app_keys() -> None:
    """A generator would put a key, which is a secret of servers, into apps, in the place of their token."""
    used = {tuple(reference.split("/")[2:]) for reference in references(calls())}
    requirements = [each for item in calls()["paths"].values() for call in item.values() for each in call["security"]]
    used |= {("securitySchemes", scheme) for requirement in requirements for scheme in requirement}
    declared = {(kind, name) for kind, components in calls()["components"].items() for name in components}
    assert declared - used == {("securitySchemes", "app")}


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


PATHS = ["/openapi.json", "/openapi/native.json", "/openapi/tel.json", "/asyncapi.json"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_document_has_the_version_of_the_release(client: Any, path: str) -> None:
    assert (await (await client.get(path)).json())["info"]["version"] == VERSION


@pytest.mark.parametrize("path", [*PATHS, "/docs"])
async def test_a_document_can_be_cached_for_five_minutes(client: Any, path: str) -> None:
    response = await client.get(path)
    assert (response.status, response.headers["Cache-Control"]) == (200, "public, max-age=300")


@pytest.mark.parametrize("path", PATHS)
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
    operations = {f"/{dialect.name}/{call.name}" for dialect in installed_dialects() for call in dialect.routes}
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
