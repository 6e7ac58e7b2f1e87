"""Each field of each call with values that it should not have: the answer is always one of the contract's own."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from fuzz.conftest import examples
from fuzz.values import anything, as_form, as_json, texts, values
from fuzz.wire import MAX_LINE, OPERATIONS, RawConnection, check, check_too_long, document
from hypothesis import given
from hypothesis import strategies as st
from support.app import fresh_number

from gateway.dialect import Dialect
from gateway.http.operations import Operation

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
OWN_NUMBER = {"phone", "phone_number", "mobile", "number"}
EACH = pytest.mark.parametrize(
    ("dialect", "operation"),
    [
        pytest.param(dialect, operation, id=f"{operation.method} {operation.path}")
        for dialect, operation in OPERATIONS
        if operation.parameters or "{" in operation.path
    ],
)
TAKING = pytest.mark.parametrize(
    ("dialect", "operation"),
    [
        pytest.param(dialect, operation, id=f"{operation.method} {operation.path}")
        for dialect, operation in OPERATIONS
        if operation.parameters and operation.method != "GET"
    ],
)


def told(operation: Operation) -> dict[str, Any]:
    return document()["paths"][operation.path][operation.method.lower()]


def good(operation: Operation, draw: Any) -> dict[str, Any]:
    """A request from the document, with a number that nobody else uses."""
    if operation.method == "GET":
        fields = {
            each["name"]: each["example"] for each in told(operation).get("parameters", ()) if each["in"] == "query"
        }
    else:
        shown = [
            *told(operation).get("requestBody", {}).get("content", {JSON: {"examples": {}}})[JSON]["examples"].values()
        ]
        fields = dict(draw(st.sampled_from(shown))["value"]) if shown else {}
    if isinstance(fields.get("tel"), dict):
        fields["tel"] = {**fields["tel"], "number": int(fresh_number())}
    return {name: fresh_number() if name in OWN_NUMBER else value for name, value in fields.items()}


def spoil(operation: Operation, fields: dict[str, Any], draw: Any) -> dict[str, Any]:
    """One field gone wrong, or gone, or one more; now and then a field inside a field."""
    assert operation.parameters is not None
    names = [model.alias or name for name, model in operation.parameters.model_fields.items()]
    name = draw(st.sampled_from([*names, *names, "unknown"]))
    if draw(st.integers(0, 9)) == 0:
        return {other: value for other, value in fields.items() if other != name}
    if isinstance(fields.get(name), dict) and draw(st.booleans()):
        inner = draw(st.sampled_from([*fields[name]]))
        return {**fields, name: {**fields[name], inner: draw(values)}}
    return {**fields, name: draw(values)}


@EACH
@examples(quick=14, long=450)
@given(data=st.data())
def test_a_field_gone_wrong_is_answered_in_the_contract(
    dialect: Dialect, operation: Operation, wire: RawConnection, member: dict[str, str], data: st.DataObject
) -> None:
    draw = data.draw
    asked = re.sub(
        r"\{\w+\}",
        lambda _: quote(draw(st.one_of(st.just(member["id"]), texts)).encode("utf-8", "surrogatepass"), safe=""),
        operation.path,
    )
    fields = spoil(operation, good(operation, draw), draw) if operation.parameters else {}
    headers = {"Authorization": "Bearer " + draw(st.sampled_from([member["token"], member["token"], "x", "a.b.c"]))}
    if operation.method == "GET" or not operation.parameters:
        asked += "?" + as_form(fields) if fields else ""
        reply = wire.send(operation.method, asked, **headers)
    elif FORM in told(operation)["requestBody"]["content"] and draw(st.integers(0, 3)) == 0:
        reply = wire.send(operation.method, asked, body=as_form(fields).encode(), Content_Type=FORM, **headers)
    else:
        reply = wire.send(operation.method, asked, body=as_json(fields), Content_Type=JSON, **headers)
    if len(f"{operation.method} {asked} HTTP/1.1") > MAX_LINE:
        check_too_long(reply)
    else:
        check(dialect, operation, reply, elsewhere="{" in operation.path)


@TAKING
@examples(quick=4, long=60)
@given(
    body=st.one_of(
        st.binary(max_size=400),
        anything.map(lambda value: as_json({"": value})),
        texts.map(lambda t: t.encode("utf-8", "surrogatepass")),
    ),
    kind=st.sampled_from(
        [JSON, FORM, f"{JSON}; charset=utf-16", "text/plain", "multipart/form-data; boundary=x", "", "x/y"]
    ),
)
def test_a_body_that_makes_no_sense_is_answered_in_the_contract(
    dialect: Dialect, operation: Operation, wire: RawConnection, member: dict[str, str], body: bytes, kind: str
) -> None:
    path = re.sub(r"\{\w+\}", member["id"], operation.path)
    headers = {"Authorization": f"Bearer {member['token']}"}
    check(dialect, operation, wire.send(operation.method, path, body=body, Content_Type=kind, **headers))
