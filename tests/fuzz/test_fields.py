"""Every field of every call with invalid values: the response is always one of the contract."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from fuzz.conftest import examples
from fuzz.raw_connection import MAX_LINE, OPERATIONS, RawConnection, check, check_too_long, document
from fuzz.values import anything, as_form, as_json, texts, values
from hypothesis import given
from hypothesis import strategies as st
from support.app import fresh_number

from gateway.dialect import Dialect
from gateway.http.operations import Operation

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
NUMBER_FIELDS = {"phone", "phone_number", "mobile", "number"}
WITH_INPUT = pytest.mark.parametrize(
    ("dialect", "operation"),
    [
        pytest.param(dialect, operation, id=f"{operation.method} {operation.path}")
        for dialect, operation in OPERATIONS
        if operation.parameters or "{" in operation.path
    ],
)
WITH_BODY = pytest.mark.parametrize(
    ("dialect", "operation"),
    [
        pytest.param(dialect, operation, id=f"{operation.method} {operation.path}")
        for dialect, operation in OPERATIONS
        if operation.parameters and operation.method != "GET"
    ],
)


def valid_fields(operation: Operation, draw: Any) -> dict[str, Any]:
    """A request from the document, with a fresh number."""
    described = document()["paths"][operation.path][operation.methods[0].lower()]
    fields = {each["name"]: each["example"] for each in described.get("parameters", ()) if each["in"] == "query"}
    examples = document()["components"]["examples"]
    names = [
        reference["$ref"].rpartition("/")[2]
        for content in described.get("requestBody", {}).get("content", {}).values()
        for reference in content["examples"].values()
    ]
    if names:
        fields = dict(examples[draw(st.sampled_from(names))]["value"])
    if isinstance(fields.get("tel"), dict):
        fields["tel"] = {**fields["tel"], "number": int(fresh_number())}
    return {name: fresh_number() if name in NUMBER_FIELDS else value for name, value in fields.items()}


def with_one_invalid(operation: Operation, fields: dict[str, Any], draw: Any) -> dict[str, Any]:
    """The fields with one of them invalid, missing or added; sometimes a nested one."""
    names = [field.alias or name for model in operation.parameters for name, field in model.model_fields.items()]
    name = draw(st.sampled_from([*names, *names, "unknown"]))
    if draw(st.integers(0, 9)) == 0:
        return {other: value for other, value in fields.items() if other != name}
    if isinstance(fields.get(name), dict) and draw(st.booleans()):
        inner = draw(st.sampled_from([*fields[name]]))
        return {**fields, name: {**fields[name], inner: draw(values)}}
    return {**fields, name: draw(values)}


@WITH_INPUT
@examples(quick=14, long=450)
@given(data=st.data())
def test_an_invalid_field_gets_a_response_of_the_contract(
    dialect: Dialect, operation: Operation, connection: RawConnection, member: dict[str, str], data: st.DataObject
) -> None:
    draw = data.draw
    path = re.sub(
        r"\{\w+\}",
        lambda _: quote(draw(st.one_of(st.just(member["id"]), texts)).encode("utf-8", "surrogatepass"), safe=""),
        operation.path,
    )
    fields = with_one_invalid(operation, valid_fields(operation, draw), draw) if operation.parameters else {}
    headers = {"Authorization": "Bearer " + draw(st.sampled_from([member["token"], member["token"], "x", "a.b.c"]))}
    if operation.method == "GET" or not operation.parameters:
        path += "?" + as_form(fields) if fields else ""
        reply = connection.send(operation.method, path, **headers)
    elif draw(st.integers(0, 3)) == 0:
        reply = connection.send(operation.method, path, body=as_form(fields).encode(), Content_Type=FORM, **headers)
    else:
        reply = connection.send(operation.method, path, body=as_json(fields), Content_Type=JSON, **headers)
    if len(f"{operation.method} {path} HTTP/1.1") > MAX_LINE:
        check_too_long(reply)
    else:
        check(dialect, operation, reply, is_generated_path="{" in operation.path)


@WITH_BODY
@examples(quick=4, long=60)
@given(
    body=st.one_of(
        st.binary(max_size=400),
        anything.map(lambda value: as_json({"": value})),
        texts.map(lambda t: t.encode("utf-8", "surrogatepass")),
    ),
    media_type=st.sampled_from(
        [JSON, FORM, f"{JSON}; charset=utf-16", "text/plain", "multipart/form-data; boundary=x", "", "x/y"]
    ),
)
def test_an_arbitrary_body_gets_a_response_of_the_contract(
    dialect: Dialect,
    operation: Operation,
    connection: RawConnection,
    member: dict[str, str],
    body: bytes,
    media_type: str,
) -> None:
    path = re.sub(r"\{\w+\}", member["id"], operation.path)
    headers = {"Authorization": f"Bearer {member['token']}"}
    check(dialect, operation, connection.send(operation.method, path, body=body, Content_Type=media_type, **headers))
