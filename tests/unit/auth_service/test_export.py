"""An export: the fields of a line are those of an import, and a file is whole or not there."""

import io
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from auth_service.accounts.model import StoredAccount
from auth_service.client_context import ClientContext
from auth_service.exporting.lines import ALWAYS, line_of
from auth_service.exporting.output import OutputRefusedError, opened_output
from auth_service.importing.schema import ImportedUser, read_user
from auth_service.passwords.own_format import OwnFormat
from shared.internal_api.auth import Account, Gender
from shared.keys import KeyRing

NOW = datetime(2026, 11, 30, 8, 0, 0, 123_456, tzinfo=UTC)
OWN_FORMAT = OwnFormat(KeyRing.parse("1:" + "a1" * 32))
HASH = "1$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
PROFILE = {
    "name": "ada", "nickname": "Ada", "gender": Gender.FEMALE, "motto": "hello", "avatar": "https://example.com/a.png",
    "thumbnail": "https://example.com/t.png", "cover": "https://example.com/c.png", "email": "ada@example.com",
    "level": 3, "type": 2, "discoverable": False, "banned_at": NOW,
}  # fmt: skip
NEW = {"nickname": "Ada", "avatar": "", "thumbnail": "", "cover": ""}


def stored(password_hash: str | None = None, **fields: object) -> StoredAccount:
    account = Account.model_validate(
        {
            "user_id": 7,
            "phone": "+8613800138000",
            "created_at": NOW,
            "updated_at": NOW,
            "last_login_at": NOW,
            "version": 4,
        }
        | fields
    )
    return StoredAccount(account, password_hash, NOW, NOW, ClientContext("tel", "ios"), NOW + timedelta(days=1))


def test_a_line_has_every_field_of_an_import_and_no_other() -> None:
    line = line_of(stored(HASH, **PROFILE), NOW + timedelta(days=2), OWN_FORMAT)

    assert set(orjson.loads(line)) == set(ImportedUser.model_fields) - {"sessions"}
    user = read_user(line)
    assert user.model_dump(include=set(PROFILE) - {"banned_at"}) == {
        key: value for key, value in PROFILE.items() if key != "banned_at"
    }
    assert (user.id, user.phone, user.banned, user.banned_until) == (7, "+8613800138000", True, NOW + timedelta(days=2))
    assert (user.created_at, user.last_seen_at) == (NOW, NOW + timedelta(days=1))
    assert user.password is not None
    assert user.password.digest == HASH


def test_what_a_line_leaves_out_means_the_same() -> None:
    line = line_of(stored(None, **NEW), None, OWN_FORMAT)

    assert set(orjson.loads(line)) == ALWAYS
    assert read_user(line) == read_user(
        orjson.dumps(orjson.loads(line) | {"banned": False, "gender": "none", "motto": ""})
    )


def test_a_password_whose_pepper_is_lost_is_left_out() -> None:
    assert b"password" not in line_of(stored("9" + HASH[1:], **NEW), None, OWN_FORMAT)


def test_a_file_is_for_its_owner_only_and_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "users.ndjson"
    with opened_output(str(path)) as file:
        file.write(b"line\n")
        assert not path.exists()
    assert path.read_bytes() == b"line\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_failed_is_not_there(tmp_path: Path) -> None:
    def write() -> None:
        with opened_output(str(tmp_path / "users.ndjson")) as file:
            file.write(b"line\n")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["users.ndjson", "users.ndjson.part"])
def test_no_file_is_written_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputRefusedError, match="exists"), opened_output(str(tmp_path / "users.ndjson")):
        pass
    assert (tmp_path / name).read_text() == "mine"


def test_a_terminal_gets_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(OutputRefusedError, match="is a terminal"), opened_output("-"):
        pass
