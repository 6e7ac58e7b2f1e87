"""Requests that no client library corrects, and checks of their responses against the documents."""

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection, HTTPException
from typing import Any

from jsonschema import Draft202012Validator

from gateway.dialect import Dialect
from gateway.dialect_registry import installed_dialects
from gateway.documents.openapi import openapi
from gateway.http.operations import Operation

DRAFT = "https://json-schema.org/draft/2020-12/schema"
MAX_LINE = 8190
OPERATIONS = [(dialect, operation) for dialect in installed_dialects() for operation in dialect.routes]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def media(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


@dataclass
class RawConnection:
    """One persistent connection that sends requests unchanged."""

    http: HTTPConnection
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)

    def send(self, method: str, path: str, *, body: bytes | None = None, **headers: str) -> Reply:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            reply = self._send(method, path, body, names)
        except (HTTPException, OSError):  # the server may have closed an idle connection
            self.http.close()
            reply = self._send(method, path, body, names)
        self.note(reply.status)
        return reply

    def note(self, status: int) -> None:
        self.sent += 1
        self.statuses[status] += 1

    def close(self) -> None:
        self.http.close()

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        self.http.request(method, path, body, headers)
        response = self.http.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read())


@cache
def document() -> dict[str, Any]:
    """The document, with responses closed: clients accept further fields, and we send none."""
    document = json.loads(json.dumps(openapi(installed_dialects(), "fuzz")))
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return document


def is_described(operation: Operation) -> bool:
    """Whether the document has this call under this method: it has one method of each call."""
    return operation.method == operation.methods[0]


@cache
def _validator(path: str, method: str, status: str, media: str) -> Draft202012Validator:
    content = document()["paths"][path][method.lower()]["responses"][status]["content"][media]
    return Draft202012Validator({**content["schema"], "components": document()["components"], "$schema": DRAFT})


def check_too_long(reply: Reply) -> None:
    """A request line that is refused before its dialect is known."""
    assert (reply.status, reply.media) == (400, "application/problem+json"), reply
    assert reply.headers["cache-control"] == "no-store"


def check(dialect: Dialect, operation: Operation, reply: Reply, *, is_generated_path: bool = False) -> None:
    """A response is no error of ours and is documented. A generated path may also get a 404 or 405."""
    assert reply.status < 500, reply
    assert reply.headers["cache-control"] in {"no-store", "public, max-age=300"}
    assert "x-request-id" in reply.headers
    responses = document()["paths"][operation.path][operation.methods[0].lower()]["responses"]
    status = str(reply.status)
    if is_generated_path and status in {"404", "405"} and status not in responses:
        dialect.refusal.model_validate_json(reply.raw)
        return
    assert status in responses, reply
    if not reply.raw:
        assert "content" not in responses[status], reply
        return
    _validator(operation.path, operation.methods[0], status, reply.media).validate(json.loads(reply.raw))
