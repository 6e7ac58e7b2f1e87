"""The HTTP API of operators: every refusal is a problem document that says what to do."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.named_operators import NamedOperators, Role, generate, parse_operators
from gateway.operators import api
from gateway.operators.requests import OperatorRequests
from shared.process.health import add_checks

KEY, ENTRY = generate("sam", Role.SUPPORT)


def application() -> web.Application:
    app = web.Application(middlewares=[api.boundary])
    add_checks(app)
    app[api.OPERATORS] = NamedOperators(parse_operators(ENTRY))
    app[api.REQUESTS] = OperatorRequests({})
    app.add_routes(api.routes)
    return app


@pytest.mark.parametrize(
    ("key", "path", "body", "status", "code"),
    [
        ("wrong", "/v1/find", b"{}", 401, "unknown_token"),
        (KEY, "/v1/ban", b'{"reason": "x"}', 403, "call_not_allowed"),
        (KEY, "/v1/find", b'{"phone": "13800138000"}', 400, "parameter_invalid"),
        (KEY, "/v1/find", b"[]", 400, "parameter_invalid"),
        (KEY, "/v1/find", b"{", 400, "parameter_invalid"),
        (KEY, "/v1/fly", b"{}", 404, "not_found"),
        (KEY, "/v2/find", b"{}", 404, "not_found"),
    ],
    ids=["unknown key", "not a support call", "bad number", "list", "half", "unknown call", "unknown version"],
)
async def test_a_refusal_says_what_to_do(key: str, path: str, body: bytes, status: int, code: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        TestClient(TestServer(application())) as client,
        client.post(path, data=body, headers=headers) as response,
    ):
        problem = await response.json(content_type="application/problem+json")
    assert (response.status, problem["code"]) == (status, code)
    assert problem["detail"]
    assert "13800138000" not in str(problem)
