"""The OpenAPI 3.1 documents: one of every call, and one of each contract."""

from collections.abc import Iterable, Sequence

from gateway.dialect import Dialect
from gateway.documents.calls import ContractCalls
from gateway.documents.components import used_components
from gateway.documents.fields import markdown
from gateway.documents.schemas import Json
from gateway.http.session_tokens import SESSION_COOKIE

ABOUT = """\
Phone-number identity for mobile apps. All contracts below share one core: users who register through one of them can
log in through any other. Each contract is a tag, and has a document of its own: `/openapi/native.json` for the first.
Its refusals are examples of the response that carries them."""

FOR_ALL = """\
Bodies may also be sent as forms (`application/x-www-form-urlencoded`, or `multipart/form-data` without files).
An app's own servers may send `Authorization: App` and their key with calls that need no session.
Responses carry `X-Request-Id` and are `no-store`, except documents and public keys. Temporary refusals carry
`Retry-After`.
Refusals because a number has an account, or has none, are answers of the calls that list them. If the operator sets
`ACCOUNT_DISCLOSURE=after_proof`, only the call that follows the right code has them."""

LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
SERVERS = [{"url": "/", "description": "The gateway that serves this document: set it as the base URL of a client."}]
APP_KEY = "`App` and the key of an app's own server, which then has limits of its own. Never part of an app."
SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The token of a session, from any contract."},
    "app": {"type": "apiKey", "in": "header", "name": "Authorization", "description": APP_KEY},
    "cookie": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": "The same token."},
}
HEADERS: Json = {
    "Retry-After": {
        "description": "Whole seconds to wait before trying again.",
        "schema": {"type": "integer", "format": "int32", "minimum": 1},
    },
    "Authorization": {"description": "`Bearer` and the token of the session.", "schema": {"type": "string"}},
    "Set-Cookie": {"description": "The same token, not readable by scripts.", "schema": {"type": "string"}},
}


def openapi(dialects: Iterable[Dialect], version: str) -> Json:
    """The document of all calls."""
    contracts = [ContractCalls(dialect, qualified=True) for dialect in in_order(dialects)]
    return _document("Haoma", ABOUT, version, contracts)


def in_order(dialects: Iterable[Dialect]) -> list[Dialect]:
    """The contract for new apps comes first."""
    return sorted(dialects, key=lambda dialect: not dialect.for_new_apps)


def openapi_of(dialect: Dialect, version: str) -> Json:
    """The document of one contract. The names of its calls and schemas do not repeat that of the contract."""
    return _document(f"Haoma: {dialect.name}", _about(dialect), version, [ContractCalls(dialect, qualified=False)])


def _document(title: str, about: str, version: str, contracts: Sequence[ContractCalls]) -> Json:
    paths: Json = {}
    for contract in contracts:
        for path, calls in contract.paths().items():
            paths.setdefault(path, {}).update(calls)
    return {
        "openapi": "3.1.1",
        "info": {"title": title, "version": version, "description": f"{about}\n\n{FOR_ALL}", "license": LICENSE},
        "servers": SERVERS,
        "tags": [{"name": each.dialect.name, "description": _about(each.dialect)} for each in contracts],
        "paths": paths,
        "components": used_components(paths, _components(contracts), always={("securitySchemes", "app")}),
    }


def _components(contracts: Sequence[ContractCalls]) -> dict[str, dict[str, Json]]:
    return {
        "schemas": {name: schema for each in contracts for name, schema in each.schemas.by_name.items()},
        "examples": {name: example for each in contracts for name, example in each.examples.by_name.items()},
        "headers": HEADERS,
        "securitySchemes": SECURITY,
    }


def _about(dialect: Dialect) -> str:
    about = markdown(dialect.about or "").removeprefix(f"{dialect.name}: ")
    return about[:1].upper() + about[1:]
