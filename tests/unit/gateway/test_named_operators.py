"""Named operators: how their keys are made, stored as digests, and recognised."""

import hashlib

import pytest
from pydantic import SecretStr, ValidationError

from gateway.named_operators import NAME, NamedOperators, Role, generate, parse_operators
from gateway.settings import OperateSettings

DIGEST = hashlib.sha256(b"a key").hexdigest()


def entry(name: str = "ada", role: str = "operator", digest: str = DIGEST) -> str:
    return f'[{name}]\nrole = "{role}"\nkey_sha256 = "{digest}"\n'


@pytest.mark.parametrize("name", ["ada", "ada.lovelace", "night-shift"])
@pytest.mark.parametrize("role", Role)
def test_a_generated_key_is_recognised_by_its_entry(name: str, role: Role) -> None:
    key, text = generate(name, role)
    operators = NamedOperators(parse_operators(entry("grace") + text))

    found = operators.operator_of(f"Bearer {key}")

    assert found is not None
    assert (found.name, found.role) == (name, role)
    assert key not in text


@pytest.mark.parametrize("mangled", ["bad", "{key}\r", " {key}", '"{key}"', "{key}x"])
def test_a_mangled_key_is_refused_before_it_is_sent(mangled: str) -> None:
    key, _ = generate("ada", Role.OPERATOR)
    assert OperateSettings(operator_key=SecretStr(key)).key == key
    with pytest.raises(ValidationError, match="this is not a key") as refused:
        OperateSettings(operator_key=SecretStr(mangled.format(key=key)))
    assert key not in str(refused.value)


@pytest.mark.parametrize("wrong", ["", "Bearer", "Bearer ", "Basic {key}", "{key}", "Bearer {key}x", "Bearer {short}"])
def test_other_credentials_are_unknown(wrong: str) -> None:
    key, text = generate("ada", Role.OPERATOR)
    operators = NamedOperators(parse_operators(text))
    assert operators.operator_of(wrong.format(key=key, short=key[:-1])) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it names no operator"),
        ("x", "this is no TOML"),
        (entry("Ada"), "a name has 1 to 32"),
        (entry(role="root"), "ada: role is none of support, operator"),
        (entry(digest="0" * 64), "ada: key_sha256 is no digest of a key"),
        (entry(digest="abc"), "ada: key_sha256 is no digest of a key"),
        ("[ada]\nrole = 'operator'\n", "ada: expected a table with role and key_sha256"),
        ("ada = 1", "ada: expected a table with role and key_sha256"),
        (entry() + entry("grace"), "two operators have the same key"),
    ],
)
def test_a_malformed_file_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_operators(text)


def test_a_key_in_place_of_its_digest_is_refused_and_not_quoted() -> None:
    key, _ = generate("ada", Role.OPERATOR)
    with pytest.raises(ValueError, match="this is the key, not its digest") as refused:
        parse_operators(entry(digest=key))
    assert key not in str(refused.value)


def test_a_name_that_is_no_name_gets_no_key() -> None:
    assert not NAME.fullmatch("Ada")
    with pytest.raises(ValueError, match="a name has"):
        generate("Ada", Role.SUPPORT)
