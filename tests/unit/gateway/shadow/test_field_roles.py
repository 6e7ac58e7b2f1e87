"""The role of each field: every field of every contract has one, or is known to have none."""

from collections.abc import Iterator

from pydantic import BaseModel

from gateway.dialect import Dialect
from gateway.dialect_registry import installed_dialects
from gateway.shadow.recorded.field_roles import PLAIN, ROLES, fields_of, inner_model, role_of
from shared.internal_api.contacts import Contact


def models(dialect: Dialect) -> Iterator[type[BaseModel]]:
    """The models of a contract, with those inside."""
    waiting = [dialect.refusal]
    for operation in dialect.routes:
        bodies = [body if isinstance(body, type) else type(body) for body in operation.responses.values() if body]
        waiting += [*operation.parameters, *bodies]
    while waiting:
        model = waiting.pop()
        yield model
        waiting += filter(None, map(inner_model, fields_of(model).values()))


NAMES = {(model.__name__, name) for each in installed_dialects() for model in models(each) for name in fields_of(model)}
NAMES |= {("Contact", name) for name in Contact.__annotations__}
PATHS = {name for each in installed_dialects() for operation in each.routes for name in operation.path.split("{")[1:]}


def test_every_field_of_every_contract_has_a_role_or_is_plain() -> None:
    known = {name for name in ROLES if "." not in name} | PLAIN
    qualified = {tuple(name.split(".")) for name in ROLES if "." in name}
    assert {each for each in NAMES if each[1] not in known and each not in qualified} == set()


def test_no_role_is_left_over() -> None:
    names = {name for _, name in NAMES} | {path.partition("}")[0] for path in PATHS}
    plain = {name for name in (*ROLES, *PLAIN) if "." not in name}
    assert plain - names == set()
    assert {name for name in ROLES if "." in name and tuple(name.split(".")) not in NAMES} == set()


def test_what_a_name_calls_a_secret_or_a_number_has_a_role() -> None:
    plain = {"tokens", "token_type", "id_token_signing_alg_values_supported", "has_password"}
    private = ("token", "ticket", "password", "pwd", "phone", "challenge", "captcha", "verify_code", "vcode")
    named = {name for _, name in NAMES if any(word in name.lower() for word in private)} - plain
    assert {name for name in named if role_of(name) is None} == set()
