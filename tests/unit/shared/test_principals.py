"""Each endpoint of each service opens to one principal: every token is tried at every endpoint."""

from collections.abc import AsyncIterator, Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr
from support.principals import strong_secret

from auth_service.app import create_app as create_auth
from auth_service.settings import AuthSettings
from contacts_service.app import create_app as create_contacts
from contacts_service.settings import ContactsSettings
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import ERASE, Erase
from shared.internal_api.client import TokenRefusedError, internal_client
from shared.internal_api.principals import Principal, PrincipalTokens
from shared.internal_api.server import CALLS, new_service
from sms_service.app import create_api as create_sms
from sms_service.settings import SmsSettings

TOKENS = {principal: SecretStr(strong_secret(principal)) for principal in Principal}
PARKED = {f"/v1/operators/{act}-parked" for act in ("list", "show", "replay", "drop")}
CODES = {
    f"/v1/operators/{act}"
    for act in ("explain", "lift-code-limits", "unblock-prefix", "list-senders", "send-test-message")
}
OTHERS = {
    "auth-service": {
        Principal.SMS_SERVICE: {"/v1/tickets/find-spent"},
        Principal.CONTACTS_SERVICE: {"/v1/accounts/compare", "/v1/accounts/find-users"},
        Principal.OPERATOR: {
            "/v1/operators/find-account",
            "/v1/operators/ban-account",
            "/v1/operators/unban-account",
            "/v1/operators/end-account-sessions",
            "/v1/operators/erase-account",
            "/v1/operators/export-account",
            "/v1/operators/lift-login-limits",
            "/v1/operators/list-audit",
            "/v1/operators/record",
            *PARKED,
        },
    },
    "sms-service": {Principal.OPERATOR: {"/v1/explain", *CODES, *PARKED}, Principal.SMS_WORKER: {"/inbox/messages"}},
    "contacts-service": {Principal.OPERATOR: PARKED},
}
"""What other principals than the gateway may call. The gateway may make every other call, and none of these."""

SERVERS = {"postgres_url": "postgresql://db", "amqp_url": "amqp://broker", "environment": "development"}
REDIS = {"redis_url": "redis://cache"}


def application(service: str) -> web.Application:
    """A service without its servers. A call that is allowed fails after the tokens were compared."""
    if service == "auth-service":
        tokens = {
            "gateway_to_auth_token": TOKENS[Principal.GATEWAY],
            "sms_to_auth_token": TOKENS[Principal.SMS_SERVICE],
            "contacts_to_auth_token": TOKENS[Principal.CONTACTS_SERVICE],
            "operator_to_auth_token": TOKENS[Principal.OPERATOR],
        }
        app = create_auth(AuthSettings(**SERVERS, **tokens))
    elif service == "sms-service":
        tokens = {
            "gateway_to_sms_token": TOKENS[Principal.GATEWAY],
            "operator_to_sms_token": TOKENS[Principal.OPERATOR],
            "worker_to_inbox_token": TOKENS[Principal.SMS_WORKER],
        }
        app = create_sms(SmsSettings(**SERVERS, **REDIS, **tokens))
    else:
        tokens = {
            "gateway_to_contacts_token": TOKENS[Principal.GATEWAY],
            "operator_to_contacts_token": TOKENS[Principal.OPERATOR],
        }
        app = create_contacts(ContactsSettings(**SERVERS, **REDIS, **tokens))
    app.cleanup_ctx.clear()
    return app


def known_to(service: str) -> set[Principal]:
    return {Principal.GATEWAY, *OTHERS[service]}


def allowed(service: str, path: str) -> Principal:
    return next((each for each, paths in OTHERS[service].items() if path in paths), Principal.GATEWAY)


@pytest.fixture(params=OTHERS)
async def service(
    request: pytest.FixtureRequest,
) -> AsyncIterator[tuple[str, TestClient[web.Request, web.Application]]]:
    async with TestClient(TestServer(application(request.param))) as client:
        yield request.param, client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_every_endpoint_opens_to_one_principal_only(
    service: tuple[str, TestClient[web.Request, web.Application]],
) -> None:
    name, client = service
    paths = client.app[CALLS]
    got, expected = {}, {}
    for path in paths:
        for principal, token in TOKENS.items():
            async with client.post(path, headers=bearer(token.get_secret_value()), data=b"{") as response:
                got[path, principal] = response.status if response.status in {401, 403} else "called"
            opens = "called" if principal is allowed(name, path) else 403
            expected[path, principal] = opens if principal in known_to(name) else 401
    assert got == expected
    assert {path for others in OTHERS[name].values() for path in others} <= paths.keys()


async def test_no_call_opens_without_a_token_or_with_a_part_of_one(
    service: tuple[str, TestClient[web.Request, web.Application]],
) -> None:
    name, client = service
    whole = TOKENS[Principal.GATEWAY].get_secret_value()
    wrong = [
        {},
        {"Authorization": whole},
        bearer(""),
        bearer(whole[:-1]),
        bearer(whole + "0"),
        bearer(f"{whole},{whole}"),
    ]
    for path in [*client.app[CALLS], "/v1/unknown"]:
        for headers in wrong:
            async with client.post(path, headers=headers) as response:
                assert (response.status, (await response.json())["code"]) == (401, "unknown_token"), (
                    name,
                    path,
                    headers,
                )


@pytest.mark.parametrize("name", OTHERS)
def test_every_route_that_takes_a_body_is_a_declared_endpoint(name: str) -> None:
    app = application(name)
    posted = {route.resource.canonical for route in app.router.routes() if route.method == "POST" and route.resource}
    assert posted == app[CALLS].keys()


async def test_a_route_without_an_endpoint_opens_to_no_principal_and_an_unknown_path_is_not_found() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text="opened")

    app = new_service(TOKENS, [])
    app.router.add_post("/v1/forgotten", handler)
    app.router.add_get("/v1/read", handler)
    async with TestClient(TestServer(app)) as client:
        for token in TOKENS.values():
            headers = bearer(token.get_secret_value())
            calls = [("POST", "/v1/forgotten"), ("GET", "/v1/read"), ("GET", "/v1/forgotten"), ("POST", "/v1/unknown")]
            statuses = []
            for method, path in calls:
                async with client.request(method, path, headers=headers) as response:
                    statuses.append(response.status)
            assert statuses == [403, 403, 405, 404]


async def test_the_tokens_of_contacts_service_and_the_worker_cannot_erase_an_account() -> None:
    async with TestServer(application("auth-service")) as server:
        url = str(server.make_url("")).rstrip("/")
        for principal in (Principal.CONTACTS_SERVICE, Principal.SMS_SERVICE, Principal.SMS_WORKER, Principal.OPERATOR):
            async with internal_client(url, TOKENS[principal]) as client:
                with pytest.raises(TokenRefusedError) as refused:
                    await client.call(
                        ERASE, Erase(user_id=1, phone="+8613800138000", address="127.0.0.1", dialect="native")
                    )
                assert refused.value.code is ErrorCode.UNAVAILABLE


def principals_of(tokens: Mapping[Principal, SecretStr], *presented: str) -> list[Principal | None]:
    known = PrincipalTokens(tokens)
    return [known.principal_of(f"Bearer {token}") for token in presented]


def test_while_a_token_is_replaced_both_are_accepted() -> None:
    old, new = strong_secret("old"), strong_secret("new")
    steps = [old, f"{old},{new}", f"{new},{old}", new]
    accepted = [principals_of({Principal.GATEWAY: SecretStr(step)}, old, new) for step in steps]
    gateway = Principal.GATEWAY
    assert accepted == [[gateway, None], [gateway, gateway], [gateway, gateway], [None, gateway]]


async def test_the_first_of_two_tokens_is_presented() -> None:
    async with TestServer(application("auth-service")) as server:
        url = str(server.make_url("")).rstrip("/")
        right, other = TOKENS[Principal.GATEWAY].get_secret_value(), strong_secret("other")
        async with (
            internal_client(url, SecretStr(f"{right},{other}")) as first,
            internal_client(url, SecretStr(f"{other},{right}")) as second,
        ):
            with pytest.raises(ServiceError) as reached:
                await first.call(ERASE, Erase(user_id=1, phone="+8613800138000", address="127.0.0.1", dialect="native"))
            with pytest.raises(TokenRefusedError):
                await second.call(
                    ERASE, Erase(user_id=1, phone="+8613800138000", address="127.0.0.1", dialect="native")
                )
        assert reached.value.code is ErrorCode.INTERNAL


@pytest.mark.parametrize("text", ["", ",", "a,", "a,b,c", "a,a"])
def test_a_malformed_pair_of_tokens_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="token") as refused:
        PrincipalTokens({Principal.GATEWAY: SecretStr(text)})
    assert "a," not in str(refused.value)
