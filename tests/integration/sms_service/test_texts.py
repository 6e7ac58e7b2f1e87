"""Texts on a real ledger: what chooses a template survives the queue, and the number of segments is stored."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from support.sms import Recorder, Sms, asking, fresh_number, running

from shared.internal_api.sms import Language
from sms_service.delivery.delivery import SEGMENTS
from sms_service.delivery.routing import Route
from sms_service.delivery.sender_pool import SenderPool
from sms_service.messages.templates import Autofill, Scope, Texts
from sms_service.senders.port import Outcome


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


async def sent(sms: Sms, texts: Texts, **fields: Any) -> tuple[str, UUID]:
    """The text of the message for such a request, and its id."""
    number, sender = fresh_number(), Recorder()
    await sms.codes().issue(asking(number, **fields))
    (row,) = await sms.sends(number)
    await sms.delivery(sender, texts).deliver(row["message_id"])
    (message,) = sender.messages
    return message.text.replace(message.code, "<code>"), row["message_id"]


async def test_language_dialect_and_client_of_the_request_choose_the_text(sms: Sms) -> None:
    texts = Texts(
        [(Scope(dialect="tel", language=Language.ENGLISH), "{signature} {code}")],
        [(Scope(), "Acme")],
        [(Scope(client="ios"), Autofill(domain="example.com")), (Scope(dialect="native"), Autofill("FA+9qCX9VSu"))],
    )
    chinese = "Acme注册验证码 <code>，5 分钟内有效，请勿泄露。"
    assert (await sent(sms, texts))[0] == chinese
    assert (await sent(sms, texts, language="en", dialect="tel"))[0] == "Acme <code>"
    assert (await sent(sms, texts, client="ios"))[0] == f"{chinese}\n@example.com #<code>"
    assert (await sent(sms, texts, dialect="native", client="ios"))[0] == f"{chinese}\nFA+9qCX9VSu"


@pytest.mark.parametrize(("letters", "segments"), [(0, 1), (64, 1), (65, 2), (200, 4)])
async def test_the_number_of_segments_is_stored_published_and_counted(sms: Sms, letters: int, segments: int) -> None:
    counted = SEGMENTS.labels("recorder")._value.get()
    texts = Texts([(Scope(language=Language.CHINESE), "{code}" + "长" * letters)])

    _, message_id = await sent(sms, texts)

    assert await sms.pool.fetchval("select segments from attempts where message_id = $1", message_id) == segments
    (event,) = await sms.events(str(message_id))
    assert event["data"]["segments"] == segments
    assert SEGMENTS.labels("recorder")._value.get() - counted == segments


async def test_the_second_sender_is_billed_for_as_many_segments_as_the_first(sms: Sms) -> None:
    number = fresh_number()
    await sms.codes().issue(asking(number))
    (row,) = await sms.sends(number)
    senders = Recorder(Outcome.TRANSIENT, "first"), Recorder(name="second")
    texts = Texts([(Scope(), "{code}" + "long " * 40)])

    await sms.delivery(SenderPool(senders, [Route("+", ("first", "second"))], {}), texts).deliver(row["message_id"])

    tried = [(attempt["sender"], attempt["segments"]) for attempt in await sms.attempts(number)]
    assert tried == [("first", 2), ("second", 2)]


async def test_a_client_cannot_write_into_a_message(sms: Sms) -> None:
    """The client's name only chooses between the operator's texts; it is never part of one."""
    texts = Texts([], [], [(Scope(client="ios"), Autofill(domain="example.com"))])
    for client in ("@evil.example #1", "{code}", "FA+9qCX9VSu", "IOS", "ios "):
        text, _ = await sent(sms, texts, client=client)
        assert text == "【好码】注册验证码 <code>，5 分钟内有效，请勿泄露。"
