"""What holds for every dialect: it renders every refusal, and each of its calls has a recorded case."""

import json
import re

import pytest
from support.contract_cases import CASES

from gateway.dialect import Dialect
from gateway.dialect_registry import installed_dialects
from shared.errors import ErrorCode, ServiceError

DIALECTS = pytest.mark.parametrize("dialect", installed_dialects(), ids=lambda dialect: dialect.name)


@DIALECTS
@pytest.mark.parametrize("code", ErrorCode)
def test_every_dialect_renders_every_refusal(dialect: Dialect, code: ErrorCode) -> None:
    for route in dialect.routes:
        response = dialect.render_error(ServiceError(code, retry_after=7), route.path)
        assert json.loads(response.body)
        assert response.headers["Retry-After"] == "7"


@DIALECTS
def test_every_call_of_a_dialect_has_a_recorded_case(dialect: Dialect) -> None:
    recorded = set()
    for path in (CASES / dialect.name).glob("*.json"):
        for step in json.loads(path.read_text())["steps"]:
            if "request" in step:
                recorded.add((step["request"]["method"], step["request"]["path"]))
    missing = [
        (route.method, route.path)
        for route in dialect.routes
        if not any(
            method == route.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.path), path)
            for method, path in recorded
        )
    ]
    assert missing == []


@DIALECTS
def test_every_path_of_a_dialect_is_owned_by_that_dialect_only(dialect: Dialect) -> None:
    owners = [
        other.name for other in installed_dialects() for route in dialect.routes if other.owns.fullmatch(route.path)
    ]
    assert set(owners) == {dialect.name}
