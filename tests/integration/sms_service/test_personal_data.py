"""What a user gets of the codes of their number, on a real PostgreSQL: theirs, all of them, in pages."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from support.sms import PHONES, Sms, asking, entering, fresh_number, refusal, running, wrong

from shared.events.envelope import new_id
from shared.internal_api.personal_data.codes import CodeEvent, ExportCodes, ListCodeEvents
from shared.internal_api.personal_data.pages import PAGE_ROWS
from shared.internal_api.sms import Purpose
from shared.phone import E164
from sms_service.personal_data.store import PersonalDataStore

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ADD_EVENTS = """
    insert into verification_events (id, phone_ref, at, kind, purpose, dialect)
    select gen_random_uuid(), $1, now() - make_interval(secs => n / 3), 'incorrect', 'sign_in', 'native'
    from generate_series(1, $2::int) n
"""


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


async def events(sms: Sms, number: E164, since: datetime = LONG_AGO) -> list[CodeEvent]:
    """All events, page by page."""
    store, rows, after = PersonalDataStore(sms.pool, PHONES), [], None
    until = datetime.now(UTC) + timedelta(minutes=1)
    while True:
        page = await store.events(ListCodeEvents(phone=number, since=since, until=until, after=after))
        rows += page.rows
        if page.next is None:
            return rows
        assert len(page.rows) == PAGE_ROWS
        after = page.next


async def test_messages_and_checks_of_the_number_are_there_and_no_code_is(sms: Sms) -> None:
    number, other, codes = fresh_number(), fresh_number(), sms.codes()
    issued = await codes.issue(asking(number, Purpose.SIGN_IN, registered=True, client="ios"))
    await codes.issue(asking(other))
    await refusal(codes.check(entering(number, wrong(issued.code), Purpose.SIGN_IN)))
    await codes.check(entering(number, issued.code, Purpose.SIGN_IN))

    (message,) = (await PersonalDataStore(sms.pool, PHONES).codes(ExportCodes(phone=number, since=LONG_AGO))).messages
    found = await events(sms, number)

    assert (message.purpose, message.dialect, message.client, message.state) == ("sign_in", "maitian", "ios", "queued")
    assert [event.kind for event in found] == ["incorrect", "correct"]
    assert issued.code not in message.model_dump_json() + "".join(event.model_dump_json() for event in found)


async def test_what_happened_before_the_user_had_the_number_is_not_there(sms: Sms) -> None:
    number, codes, before = fresh_number(), sms.codes(), datetime.now(UTC) - timedelta(hours=1)
    await sms.pool.execute(
        "insert into verification_events (id, phone_ref, at, kind, purpose, dialect) values ($1, $2, $3, 'incorrect', 'sign_in', '')",
        new_id(), PHONES.ref(number), before,
    )  # fmt: skip
    await codes.issue(asking(number))

    assert len(await events(sms, number)) == 1
    since = before + timedelta(minutes=1)
    assert await events(sms, number, since) == []
    later = ExportCodes(phone=number, since=datetime.now(UTC) + timedelta(minutes=1))
    assert (await PersonalDataStore(sms.pool, PHONES).codes(later)).messages == []


async def test_many_events_come_in_pages_each_once_and_in_order(sms: Sms) -> None:
    number = fresh_number()
    await sms.pool.execute(ADD_EVENTS, PHONES.ref(number), 2 * PAGE_ROWS + 500)

    found = await events(sms, number)

    assert len(found) == 2 * PAGE_ROWS + 500
    assert [event.at for event in found] == sorted(event.at for event in found)
