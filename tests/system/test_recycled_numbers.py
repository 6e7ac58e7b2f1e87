"""A number that belongs to someone else by now, in every contract: the account of before is not handed over."""

from collections.abc import Callable
from typing import Any

import pytest
from support.app import App, Reply, fresh_number
from support.database import Tables
from support.native import call, eventually, is_found, register, ticket

PASSWORD = "correct horse"
DAYS = 60
"""The default of ``RECYCLED_AFTER_DAYS``."""

PASSED = ("success", "error_code", "errorCode", "code", "error", "status")
"""The fields in which a contract says how a call ended."""

FIRST_STEPS: dict[str, tuple[str, str, Callable[[str], dict[str, Any]]]] = {
    "native sign_up": ("POST", "/v2/verifications", lambda number: {"phone": number, "purpose": "sign_up"}),
    "native sign_in": ("POST", "/v2/verifications", lambda number: {"phone": number, "purpose": "sign_in"}),
    "native reset": ("POST", "/v2/verifications", lambda number: {"phone": number, "purpose": "reset_password"}),
    "native log-in": ("POST", "/v2/sessions", lambda number: {"phone": number, "password": "wrong horse"}),
    "maitian send": (
        "POST", "/v1/user/register/verify_code.json", lambda number: {"source": "test", "phone_number": number},
    ),
    "maitian forgot": (
        "POST", "/v1/user/forgot_password.json", lambda number: {"source": "test", "phone_number": number},
    ),
    "phone_info send": ("POST", "/v1/user/sendRegisterMessage", lambda number: {"phone": number}),
    "register_page send": ("POST", "/v1/register/sendCode", lambda number: {"phone": number}),
    "register_page check": ("POST", "/v1/register/checkPhone", lambda number: {"phone": number}),
    "tel signup": (
        "POST", "/actions/sms", lambda number: {"tel": {"dialCode": 86, "number": int(number)}, "action": "signup"},
    ),
    "tel reset": (
        "POST",
        "/actions/sms",
        lambda number: {"tel": {"dialCode": 86, "number": int(number)}, "action": "resetPassword"},
    ),
    "tel move": (
        "POST", "/actions/sms", lambda number: {"tel": {"dialCode": 86, "number": int(number)}, "action": "resetPhone"},
    ),
}  # fmt: skip


async def dormant(app: App, tables: Tables) -> tuple[str, int]:
    """A number whose user was not seen for 60 days, and the id of that user."""
    number = fresh_number()
    user = await app.register(number, PASSWORD)
    await tables.unseen(number, DAYS)
    await tables.age(number, 121)
    return number, user["userId"]


def outcome(reply: Reply) -> tuple[int, list[str], list[Any]]:
    """What a stranger can tell from a response."""
    return reply.status, sorted(reply.body), [reply.body.get(name) for name in PASSED]


@pytest.mark.parametrize("step", FIRST_STEPS)
async def test_a_stranger_cannot_tell_the_number_from_one_without_an_account(
    app: App, tables: Tables, step: str
) -> None:
    method, path, body = FIRST_STEPS[step]
    number, _ = await dormant(app, tables)

    replies = [await app.call(method, path, json=body(each)) for each in (number, fresh_number())]

    assert outcome(replies[0]) == outcome(replies[1])


async def test_the_codes_of_before_open_nothing_and_the_password_does(app: App, tables: Tables) -> None:
    number = fresh_number()
    user = await register(app, number, password=PASSWORD)
    await tables.age(number, 61)
    sign_in = await ticket(app, number, "sign_in")
    await tables.age(number, 61)
    reset = await ticket(app, number, "reset_password")
    await tables.unseen(number, DAYS)

    for path, fields in (
        ("/v2/sessions", {"ticket": sign_in}),
        ("/v2/password", {"ticket": reset, "password": "x" * 9}),
    ):
        refused = await call(app, "PUT" if "password" in fields else "POST", path, **fields)
        assert (refused.status, refused.body["code"]) == (404, "no_account")

    logged_in = await call(app, "POST", "/v2/sessions", phone=number, password=PASSWORD)
    me = await call(app, "GET", "/v2/me", logged_in.body["access_token"])
    assert me.body["user_id"] == user["account"]["user_id"]
    await tables.age(number, 61)
    assert (await call(app, "POST", "/v2/verifications", phone=number, purpose="sign_in")).status == 202


async def test_the_new_holder_registers_and_friends_find_them_and_no_longer_the_user_of_before(
    app: App, tables: Tables
) -> None:
    seeker = (await register(app, fresh_number()))["tokens"]["access_token"]
    number, old_id = await dormant(app, tables)
    await eventually(lambda: is_found(app, seeker, number))

    user = await register(app, number, nickname="Nova")

    assert user["account"]["user_id"] != old_id

    async def is_the_new_one_found() -> bool:
        matched = await call(app, "POST", "/v2/contacts/match", seeker, phones=[number])
        return [match["nickname"] for match in matched.body["matches"]] == ["Nova"]

    await eventually(is_the_new_one_found)
    directory = "select phone_ref, nickname, visible from directory where user_id = $1"

    async def is_the_old_one_gone() -> bool:
        row = await tables.connections["contacts"].fetchrow(directory, old_id)
        return tuple(row) == (None, "", False)

    await eventually(is_the_old_one_gone)
    assert await tables.connections["auth"].fetchval("select phone from accounts where user_id = $1", old_id) is None
