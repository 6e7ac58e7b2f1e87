"""What an erased account leaves in sms-service: no sealed number, no network, and every limit as it was."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from support.sms import (
    NETWORKS,
    PHONES,
    OnlySourceNetworks,
    Recorder,
    Sms,
    asking,
    entering,
    fresh_number,
    refusal,
    running,
    wrong,
)

from shared.amqp import PoisonError
from shared.errors import ErrorCode
from shared.events.catalogue import UserDeleted
from shared.events.envelope import new_event
from shared.internal_api.sms import Purpose
from shared.networks import RequestSource
from shared.phone import E164, ref_hex
from sms_service.erasure.consumer import handler
from sms_service.erasure.store import ErasureStore

HOME = "203.0.113.7"


@pytest.fixture(scope="module")
async def sms(postgres_url: str) -> AsyncIterator[Sms]:
    async with running(postgres_url) as sms:
        yield sms


def erasure(number: E164) -> bytes:
    """The event of an account that was erased now."""
    data = UserDeleted(
        user_id="1", phone_ref=ref_hex(PHONES.ref(number)), phone_masked="", country="86", nickname="", avatar="",
        discoverable=False, disabled=True, dialect="native", client="",
    )  # fmt: skip
    return new_event(data, source="auth-service", subject="1", version=2).body


async def test_an_erasure_deletes_codes_and_networks_and_lifts_no_limit(sms: Sms) -> None:
    number, codes = fresh_number(), sms.codes(OnlySourceNetworks())
    known = [NETWORKS.ref(RequestSource(ip_address(HOME)))]
    request = asking(number, Purpose.RESET_PASSWORD, registered=True, known_networks=known, address="198.51.100.7")
    issued = await codes.issue(request)
    for address in (HOME, "198.51.100.7"):
        await refusal(codes.check(entering(number, wrong(issued.code), Purpose.RESET_PASSWORD, address=address)))

    body = erasure(number)
    for _ in range(2):
        await handler(ErasureStore(sms.pool))(body)

    left = "select count(*) from verifications where phone_ref = $1"
    assert await sms.pool.fetchval(left, PHONES.ref(number)) == 0
    row = await sms.pool.fetchrow("select * from number_activity where phone_ref = $1", PHONES.ref(number))
    assert (row["send_networks"], row["failure_networks"]) == ([""], ["", ""])
    assert (len(row["sends"]), len(row["failures"])) == (1, 2)
    assert (await refusal(codes.issue(asking(number)))).code is ErrorCode.COOLDOWN


async def test_an_erasure_that_arrives_late_spares_the_code_of_whoever_registers_the_number_next(sms: Sms) -> None:
    number, codes, body = fresh_number(), sms.codes(), erasure(fresh_number())
    body = erasure(number)
    issued = await codes.issue(asking(number))
    created = "update verifications set created_at = $2 where phone_ref = $1"
    await sms.pool.execute(created, PHONES.ref(number), datetime.now(UTC) + timedelta(seconds=1))

    await handler(ErasureStore(sms.pool))(body)

    assert await codes.check(entering(number, issued.code))


async def test_the_erasure_of_an_account_without_a_number_forgets_nothing_of_any_number(sms: Sms) -> None:
    number, codes = fresh_number(), sms.codes()
    issued = await codes.issue(asking(number))
    body = erasure(number).replace(ref_hex(PHONES.ref(number)).encode(), b"")

    await handler(ErasureStore(sms.pool))(body)

    assert await codes.check(entering(number, issued.code))


async def test_a_message_that_waits_at_an_erasure_is_not_sent_and_loses_its_sealed_number(sms: Sms) -> None:
    number, other, codes, sender = fresh_number(), fresh_number(), sms.codes(), Recorder()
    delivery = sms.delivery(sender)
    for each in (number, other):
        await codes.issue(asking(each))
    (forgotten,), (kept,) = [await sms.sends(each) for each in (number, other)]
    assert forgotten["phone_sealed"] is not None

    await handler(ErasureStore(sms.pool))(erasure(number))
    for message in (forgotten, kept):
        await delivery.deliver(message["message_id"])

    assert [message.to for message in sender.messages] == [other]
    (ended,) = await sms.sends(number)
    assert (ended["state"], ended["phone_sealed"]) == ("expired", None)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", erasure(fresh_number()).replace(b'"phone_ref":"', b'"phone_ref":"x')]
)
async def test_a_message_that_is_no_erasure_is_poison(sms: Sms, body: bytes) -> None:
    with pytest.raises(PoisonError):
        await handler(ErasureStore(sms.pool))(body)
