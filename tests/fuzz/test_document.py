"""Schemathesis reads the document and tries every call, with valid and with invalid data."""

from typing import Any

import pytest
import schemathesis
from fuzz.conftest import examples
from fuzz.raw_connection import OPERATIONS, RawConnection, Reply, check, document, is_described
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from stack.system import Stack

from gateway.dialect import Dialect
from gateway.http.operations import Operation

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document())


@pytest.mark.parametrize(
    ("dialect", "operation"),
    [pytest.param(*both, id=f"{both[1].method} {both[1].path}") for both in OPERATIONS if is_described(both[1])],
)
@examples(quick=5, long=260)
@given(data=st.data())
def test_every_response_to_a_generated_call_is_documented(
    dialect: Dialect,
    operation: Operation,
    system: Stack,
    connection: RawConnection,
    member: dict[str, str],
    data: st.DataObject,
) -> None:
    described = SCHEMA[operation.path][operation.method]
    mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    case = data.draw(described.as_strategy(mode))
    headers = {"Authorization": f"Bearer {member['token']}"}
    response = case.call(base_url=system.url("gateway"), headers=headers)
    raw = Reply(response.status_code, {name: values[0] for name, values in response.headers.items()}, response.content)
    connection.note(raw.status)
    if "{" in operation.path and raw.status in {404, 405}:
        check(dialect, operation, raw, is_generated_path=True)  # a generated path may belong to no call
        return
    case.validate_response(response, checks=CHECKS)
