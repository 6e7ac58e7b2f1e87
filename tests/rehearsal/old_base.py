"""A made-up base of another system: users with passwords in several formats, and the mistakes that such files have."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt

from auth_service.importing.refusals import Reason

SEED = 83
BCRYPT_COST = 4
PBKDF2_ROUNDS = 1_000
"""Both are as cheap as their functions allow: making the base is not what is rehearsed."""
Digest = dict[str, str]


@dataclass(frozen=True)
class Kind:
    """A kind of user: how many of a hundred, how the other system stored their password, and who can compare it."""

    name: str
    weight: int
    digest: Callable[[str, str], Digest] | None
    needs_plain: bool = False
    is_banned: bool = False
    has_session: bool = False


@dataclass(frozen=True)
class OldUser:
    """A user of the other system, with the password that only the user knows."""

    user_id: int
    kind: Kind

    @property
    def phone(self) -> str:
        return f"139{self.user_id:08d}"

    @property
    def password(self) -> str:
        return f"old password {self.user_id}"

    @property
    def token(self) -> str:
        """The token of the user's session."""
        return _hex("sha256", f"old token {self.user_id}")

    def line(self) -> dict[str, Any]:
        """As the other system has the user."""
        user: dict[str, Any] = {
            "id": self.user_id,
            "phone": self.phone,
            "nickname": f"user {self.user_id}",
            "created_at": 1_500_000_000 + self.user_id,
        }
        if self.kind.is_banned:
            user["banned"] = True
        if self.kind.digest is not None:
            user["password"] = self.kind.digest(self.password, f"{self.user_id:x}")
        if self.kind.has_session:
            user["sessions"] = [{"token": self.token, "client": "old app"}]
        return user


def _hex(name: str, text: str) -> str:
    return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _ucenter(password: str, salt: str) -> Digest:
    return {"format": "md5(md5(p)+salt)", "digest": _hex("md5", _hex("md5", password) + salt), "salt": salt}


def _plain_md5(password: str, _: str) -> Digest:
    return {"format": "md5(p)", "digest": _hex("md5", password)}


def _sha1(password: str, salt: str) -> Digest:
    return {"format": "sha1(salt+p)", "digest": _hex("sha1", salt + password), "salt": salt}


def _bcrypt(password: str, _: str) -> Digest:
    return {"format": "bcrypt", "digest": bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()}


def _django(password: str, salt: str) -> Digest:
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), PBKDF2_ROUNDS)
    return {"format": f"pbkdf2:sha256:{PBKDF2_ROUNDS}", "digest": key.hex(), "salt": salt}


KINDS = (
    Kind("UCenter", 50, _ucenter, has_session=True),
    Kind("plain md5", 10, _plain_md5),
    Kind("salted sha1", 15, _sha1, needs_plain=True),
    Kind("bcrypt", 10, _bcrypt, needs_plain=True, has_session=True),
    Kind("PBKDF2", 5, _django, needs_plain=True),
    Kind("no password", 7, None),
    Kind("banned", 3, _ucenter, is_banned=True),
)


class OldBase:
    """So many users, always the same ones, and the lines of their file."""

    def __init__(self, count: int) -> None:
        drawn = random.Random(SEED).choices(KINDS, [kind.weight for kind in KINDS], k=max(0, count - len(KINDS)))
        kinds = [*KINDS, *drawn][:count]
        self.users = [OldUser(user_id, kind) for user_id, kind in enumerate(kinds, start=1)]

    @property
    def kinds(self) -> Counter[str]:
        """How many users of each kind there are."""
        return Counter(user.kind.name for user in self.users)

    def of_kind(self, name: str, count: int) -> Sequence[OldUser]:
        """Some users of a kind."""
        return [user for user in self.users if user.kind.name == name][:count]

    def write(self, users: Path, known_passwords: Path) -> None:
        """Write the file of the users, with mistakes in it, and a file with passwords that the operator knows."""
        with users.open("wb") as file:
            file.writelines(self._lines())
        known = [self.of_kind(kind.name, 1)[0] for kind in KINDS if kind.digest is not None]
        lines = (json.dumps({"id": user.user_id, "password": user.password}) + "\n" for user in known)
        known_passwords.write_text("".join(lines))

    def _lines(self) -> Iterator[bytes]:
        for user in self.users:
            yield json.dumps(user.line()).encode() + b"\n"
        first = self.users[0].line()
        yield json.dumps(first).encode() + b"\n"  # the user is there already, which is no mistake
        first.pop("sessions", None)
        yield json.dumps(first | {"id": 10**9}).encode() + b"\n"
        yield json.dumps(first | {"id": 10**9 + 1, "phone": "+1 202 555 0123"}).encode() + b"\n"
        yield (
            json.dumps({"id": 10**9 + 2, "phone": "13000000000", "nickname": "张三"}, ensure_ascii=False).encode("gbk")
            + b"\n"
        )
        wrong_format = {"format": "md5(p)", "digest": "$P$B" + "a" * 30}
        yield json.dumps({"id": 10**9 + 3, "phone": "13000000001", "password": wrong_format}).encode() + b"\n"
        unknown = {"format": "phpass", "digest": "$P$B" + "a" * 30}
        yield json.dumps({"id": 10**9 + 4, "phone": "13000000002", "password": unknown}).encode() + b"\n"
        yield json.dumps(first | {"id": 10**9 + 5}).encode()[:40]


MISTAKES = [
    Reason.NUMBER_TAKEN, Reason.NUMBER_REFUSED, Reason.NOT_UTF8, Reason.PASSWORD_MALFORMED,
    Reason.PASSWORD_FORMAT_UNKNOWN, Reason.JSON_BROKEN,
]  # fmt: skip
"""The reasons of the last lines, in their order."""
