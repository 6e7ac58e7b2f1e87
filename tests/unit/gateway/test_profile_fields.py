"""A profile field is declared in several places; each test names the place that lacks one."""

from support.contract_cases import fragments

from gateway.native import requests, responses
from gateway.native.fields import FIELDS
from shared.internal_api.auth import Account, ChangeProfile

NOT_PROFILE = {"user_id"}


def test_users_can_change_every_field_that_auth_service_can_change() -> None:
    """``ChangeMe`` in ``gateway.native.requests`` and ``ChangeProfile`` in ``shared.internal_api.auth``."""
    assert requests.ChangeMe.model_fields.keys() == ChangeProfile.model_fields.keys() - NOT_PROFILE


def test_a_change_of_the_profile_sets_no_other_field() -> None:
    """What a client adds to the body is ignored, even if a column has that name."""
    more = {"user_id": 1, "phone": "+8613800138000", "banned_at": None, "version": 9, "username": "x", "password": "x"}
    change = requests.ChangeMe.model_validate({"nickname": "Ada"} | more)
    assert change.model_dump(exclude_unset=True) == {"nickname": "Ada"}


def test_users_see_every_field_that_they_can_change() -> None:
    """``Account`` in ``gateway.native.responses``."""
    assert requests.ChangeMe.model_fields.keys() - responses.Account.model_fields.keys() == set()


def test_auth_service_returns_every_field_that_users_see() -> None:
    """``Account`` in ``shared.internal_api.auth``."""
    assert responses.Account.model_fields.keys() - Account.model_fields.keys() == set()


def test_the_document_says_what_every_field_of_the_account_means() -> None:
    """``FIELDS`` in ``gateway.native.fields``."""
    assert responses.Account.model_fields.keys() - FIELDS.keys() == set()


def test_the_fragment_of_the_contract_cases_has_every_field_of_the_account() -> None:
    """``tests/contract/fragments/native/account.json``."""
    assert fragments()["native/account"].keys() == responses.Account.model_fields.keys()


def test_the_fragment_of_the_contract_cases_has_every_field_of_the_tokens() -> None:
    """``tests/contract/fragments/native/tokens.json``."""
    assert fragments()["native/tokens"].keys() == responses.Tokens.model_fields.keys()
