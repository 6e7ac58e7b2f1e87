"""One new profile field: each place that it needs, and that a change forgot, is named here."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

import auth_service
from auth_service.accounts import columns
from auth_service.lifecycle import self_service_store
from shared.internal_api.auth import Account, ChangeProfile

REVISIONS = sorted(Path(auth_service.__file__).parent.joinpath("migrations", "versions").glob("*.py"))
TABLE = re.compile(r"create table accounts \(\n(.*?)\n    \)", re.DOTALL)
COLUMN = re.compile(r"^ {8}(?!constraint )([a-z_]+) ", re.MULTILINE)
ADDED = re.compile(r"\badd column (?:if not exists )?([a-z_]+) ")


def revision(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def created_columns() -> set[str]:
    """The columns of ``accounts``, from the statements of all revisions."""
    texts = [text for path in REVISIONS for text in vars(revision(path)).values() if isinstance(text, str)]
    of_accounts = [text for text in texts if "table accounts" in text]
    created = {name for text in of_accounts for body in TABLE.findall(text) for name in COLUMN.findall(body)}
    return created | {name for text in of_accounts for name in ADDED.findall(text)}


def test_every_field_of_an_account_has_a_column() -> None:
    missing = set(Account.model_fields) - created_columns()
    assert not missing, f"add to a revision in auth_service/migrations/versions: {sorted(missing)}"


def test_every_field_that_users_change_is_a_field_of_an_account() -> None:
    missing = set(ChangeProfile.model_fields) - set(Account.model_fields)
    assert not missing, f"add to AccountFields in shared/internal_api/auth.py: {sorted(missing)}"


def test_every_field_that_users_change_can_be_left_out() -> None:
    required = [name for name, field in ChangeProfile.model_fields.items() if field.is_required()]
    assert required == ["user_id"], "a field of ChangeProfile is None by default: it is unchanged then"


@pytest.mark.parametrize("field", sorted(set(ChangeProfile.model_fields) - {"user_id"}))
def test_the_statement_of_a_profile_change_sets_the_field(field: str) -> None:
    assert f"{field} = coalesce($" in self_service_store.CHANGE_PROFILE


def test_statements_that_read_an_account_name_every_column() -> None:
    assert [f"a.{field}" for field in Account.model_fields] == columns.ACCOUNT.split(", ")
    assert columns.STORED_ACCOUNT.startswith(columns.ACCOUNT)
