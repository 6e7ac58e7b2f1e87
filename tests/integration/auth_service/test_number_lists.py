"""The lists of numbers for the filters of the gateways: every way in which an account gets a number is in them at once."""

import json
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.auth import (
    Auth,
    code_login,
    command,
    fresh_address,
    fresh_number,
    fresh_secret,
    refusal,
    registration,
    running,
    serving,
    settings_for,
)

from auth_service.number_lists.number_lists import MAX_GAINED, PAGE_NUMBERS
from auth_service.number_lists.number_store import GAINED
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    CHANGE_PHONE,
    LOG_IN_WITH_CODE,
    LOOK_UP,
    REGISTER,
    REGISTER_WITH_TOKENS,
    ChangePhone,
    LookUp,
)
from shared.internal_api.directory import (
    LIST_GAINED_NUMBERS,
    LIST_NUMBERS,
    GainedNumbers,
    ListGainedNumbers,
    ListNumbers,
    slots_of,
)
from shared.internal_api.sms import Purpose
from shared.phone import E164, PhoneKeys

KEY = "5e" * 32
KEYS = PhoneKeys(bytes.fromhex(KEY))
WHO = ("--by", "ada", "--reason", "a test")
ADD_USERS = """
    insert into accounts (user_id, phone, nickname, dialect, client)
    select $1::bigint + n, $2 || lpad(n::text, 6, '0'), '', 'tel', 'test' from generate_series(1, $3) as n
"""
GAIN_NUMBERS = """
    insert into audit_log (id, action, user_id)
    select gen_random_uuid(), 'account.imported', user_id from accounts where user_id > $1 order by user_id limit $2
"""


def slot(number: E164) -> int:
    return slots_of([number], KEYS)[0]


async def gained(auth: Auth, since: datetime | None, client: Any = None) -> GainedNumbers:
    call = (client or auth.client).call
    answer: GainedNumbers = await call(LIST_GAINED_NUMBERS, ListGainedNumbers(key=KEY, since=since))
    return answer


async def all_slots(auth: Auth) -> list[int]:
    """All numbers, page by page."""
    found: list[int] = []
    last: int | None = 0
    while last is not None:
        page = await auth.call(LIST_NUMBERS, ListNumbers(key=KEY, after=last))
        assert len(page.slots) <= PAGE_NUMBERS
        found += page.slots
        last = page.last
    return found


async def is_registered(auth: Auth, number: E164) -> bool:
    (registered,) = (await auth.call(LOOK_UP, LookUp(phones=[number]))).registered
    return bool(registered)


Gain = Callable[[Auth, E164, Path], Awaitable[None]]


async def register(auth: Auth, number: E164, _: Path) -> None:
    await auth.register(number, fresh_secret())


async def register_without_password(auth: Auth, number: E164, _: Path) -> None:
    await auth.call(REGISTER_WITH_TOKENS, registration(auth.ticket(number), None))


async def take_over(auth: Auth, number: E164, _: Path) -> None:
    await auth.register(number, fresh_secret())
    await auth.unseen(number, 400)
    await auth.call(REGISTER, registration(auth.ticket(number), None))


async def change(auth: Auth, number: E164, _: Path) -> None:
    user = await auth.register(fresh_number(), fresh_secret())
    old, new = (auth.ticket(E164(each), Purpose.CHANGE_PHONE) for each in (user.account.phone, number))
    request = ChangePhone(
        user_id=user.account.user_id, session_id=user.session_id, old_ticket=old, new_ticket=new,
        address=fresh_address(), dialect="native", client="test",
    )  # fmt: skip
    await auth.call(CHANGE_PHONE, request)


async def bring_in(auth: Auth, number: E164, folder: Path) -> None:
    file = folder / "users.ndjson"
    file.write_text(json.dumps({"id": secrets.randbelow(2**46) + 1, "phone": number}) + "\n")
    peppers = {"PASSWORD_PEPPERS": auth.settings.password_peppers.get_secret_value()}
    status, output = await command(auth, "import", str(file), *WHO, **peppers)
    assert status == 0, output


async def restore(auth: Auth, number: E164, _: Path) -> None:
    user = await auth.register(number, fresh_secret())
    for words in (("release", number), ("restore", str(user.account.user_id), number)):
        status, output = await command(auth, "accounts", *words, *WHO)
        assert status == 0, output


GAINS: dict[str, Gain] = {
    "registration": register,
    "registration without a password": register_without_password,
    "registration of a dormant account's number": take_over,
    "change of number": change,
    "import": bring_in,
    "an operator's restoration": restore,
}


@pytest.mark.parametrize("gain", GAINS)
async def test_a_number_that_an_account_got_is_listed_with_all_and_among_the_gained(
    auth: Auth, gain: str, tmp_path: Path
) -> None:
    number, before = fresh_number(), await gained(auth, None)
    assert before.slots == []

    await GAINS[gain](auth, number, tmp_path)

    assert await is_registered(auth, number)
    found = await gained(auth, before.now)
    assert slot(number) in found.slots
    assert (found.is_complete, found.restored_at) == (True, None)
    assert slot(number) in await all_slots(auth)
    assert (await gained(auth, found.now)).slots == []


async def test_the_ways_to_get_a_number_are_those_that_are_tested() -> None:
    """A new statement that writes a number has to be listed, and to leave a row that ``number_store`` reads."""
    root = Path(__file__).parents[3] / "auth-service" / "src" / "auth_service"
    files = [path for path in root.rglob("*") if path.suffix in {".py", ".sql"} and "migrations" not in path.parts]
    writing = {path.name: count for path in files if (count := count_writes(path.read_text().lower()))}
    assert writing == {
        "add_account.sql": 1,
        "add_accounts.sql": 1,
        "phone_change_store.py": 1,
        "phone_reservation_store.py": 1,  # a row that no other transaction sees
        "retirement_store.py": 2,  # the first takes a number away
    }


def count_writes(text: str) -> int:
    """How many statements of a file write the number of an account."""
    changes = (re.split(r"\bwhere\b", each)[0] for each in re.split(r"\bupdate\s+accounts\b", text)[1:])
    changed = sum(re.search(r"\bset\b.*?\bphone\s*=", each, re.DOTALL) is not None for each in changes)
    return changed + len(re.findall(r"\binsert\s+into\s+accounts\b", text))


async def test_a_code_logs_no_one_in_who_has_no_account(auth: Auth) -> None:
    number = fresh_number()
    assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(auth.ticket(number, Purpose.SIGN_IN)))) is (
        ErrorCode.NO_ACCOUNT
    )
    assert slot(number) not in await all_slots(auth)


@pytest.mark.parametrize("state", ["banned", "dormant"])
async def test_an_account_that_cannot_log_in_is_listed_because_it_may_again_without_a_code(
    auth: Auth, state: str
) -> None:
    number = fresh_number()
    await auth.register(number, fresh_secret())
    await auth.unseen(number, 400 if state == "dormant" else 0)
    if state == "banned":
        await auth.database.execute("update accounts set banned_at = now() where phone = $1", number)
    assert slot(number) in await all_slots(auth)


async def test_a_number_that_no_account_has_any_more_is_not_listed(auth: Auth) -> None:
    erased, before = fresh_number(), (await gained(auth, None)).now
    user = await auth.register(erased, fresh_secret())
    await auth.erase(user.account.user_id)
    assert slot(erased) not in await all_slots(auth)
    assert slot(erased) not in (await gained(auth, before)).slots


async def test_a_page_ends_with_its_last_user_and_the_next_one_goes_on(auth: Auth) -> None:
    await auth.database.execute(ADD_USERS, 7 * 10**15, "+861390", PAGE_NUMBERS + 7)
    listed = await all_slots(auth)
    expected = [slot(E164(f"+861390{number:06d}")) for number in range(1, PAGE_NUMBERS + 8)]
    assert [each for each in listed if each in set(expected)] == expected


async def test_with_a_user_source_the_lists_are_never_complete(auth: Auth) -> None:
    more = {"user_source_url": "http://127.0.0.1:1/", "user_source_secret": secrets.token_hex(32)}
    settings = settings_for(auth.settings.postgres_url, auth.settings.amqp_url, auth.settings.auth_database, **more)
    async with serving(settings) as client:
        assert not (await gained(auth, None, client)).is_complete
    assert (await gained(auth, None)).is_complete


@pytest.fixture
async def alone(postgres_url: str, amqp_url: str) -> AsyncIterator[Auth]:
    """auth-service on a database of the test's own."""
    async with running(postgres_url, amqp_url) as auth:
        yield auth


async def test_more_than_a_list_can_hold_are_not_complete_as_in_an_import(alone: Auth) -> None:
    since = (await gained(alone, None)).now
    await alone.database.execute(ADD_USERS, 7 * 10**15, "+861390", MAX_GAINED + 1)
    await alone.database.execute(GAIN_NUMBERS, 0, MAX_GAINED)
    full = await gained(alone, since)
    assert (len(full.slots), full.is_complete) == (MAX_GAINED, True)

    await alone.database.execute(GAIN_NUMBERS, 7 * 10**15 + MAX_GAINED, 1)
    more = await gained(alone, since)
    assert (len(more.slots), more.is_complete) == (MAX_GAINED, False)


async def test_a_restored_backup_is_told_with_its_moment(alone: Auth) -> None:
    since = (await gained(alone, None)).now
    status, output = await command(alone, "after-restore", *WHO)
    assert status == 0, output
    found = await gained(alone, since)
    assert found.restored_at is not None
    assert since < found.restored_at <= found.now
    assert (await gained(alone, found.now + timedelta(seconds=1))).restored_at is None


async def test_the_gained_are_found_by_an_index_of_their_own(alone: Auth) -> None:
    """Or each poll would read all of the last seconds, and without any index all of the audit log."""
    async with alone.database.acquire() as conn:
        await conn.execute("set enable_seqscan = off")
        plan = await conn.fetch(f"explain {GAINED.replace('$1', 'now()').replace('$2', '10')}")
    assert "audit_log_numbers_gained" in str(plan)
