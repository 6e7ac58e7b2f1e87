"""The ledger stores what providers respond without the code and the number, in any way they are quoted."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from shared.internal_api.sms import Language, Purpose
from shared.phone import E164
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.port import Outcome, OutgoingMessage, SendResult, safe_error_code
from sms_service.senders.webhook import parse_response

CODE, NUMBER = "877927", E164("+8613812345678")
MESSAGE = OutgoingMessage(
    UUID(int=1), NUMBER, f"{CODE} is your code", CODE, Purpose.SIGN_UP, Language.ENGLISH, timedelta(minutes=5)
)
WIDE = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}
QUOTES = [
    CODE,
    "877 927",
    "8-7-7-9-2-7",
    CODE.translate(WIDE),
    "٨٧٧٩٢٧",
    NUMBER,
    NUMBER[1:],
    NUMBER[3:],
    "0" + NUMBER[3:],
    "+86 138-1234-5678",
    "138.1234.5678",
    "(138)12345678",
    NUMBER[3:].translate(WIDE),
]


class Quoting:
    """A sender with a fixed result."""

    name = "one"

    def __init__(self, result: SendResult) -> None:
        self.result = result

    async def send(self, _message: OutgoingMessage) -> SendResult:
        return self.result


async def stored(*results: SendResult) -> tuple[SendResult, list[dict[str, object]]]:
    """What the pool makes of the last of some results, and what it logs."""
    sender_pool = SenderPool.of_one(sender := Quoting(results[0]))
    with capture_logs() as logged:
        for result in results:
            sender.result = result
            redacted = await sender_pool.send("one", MESSAGE, timedelta(minutes=5))
    return redacted, logged


def without_secrets(*values: object) -> bool:
    digits = "".join(one for one in repr(values) if one.isalnum())
    return CODE not in digits and NUMBER[3:] not in digits


@pytest.mark.parametrize("quote", QUOTES)
@pytest.mark.parametrize("around", ["{}", "blocked text {} to you", "{}:30007", "x" * 61 + "{}"])
async def test_a_quoted_code_or_number_is_neither_stored_nor_logged(quote: str, around: str) -> None:
    for key in ("error", "detail"):
        body = json.dumps({key: around.format(quote), **({"outcome": "refused"} if key == "detail" else {})})
        result, logged = await stored(parse_response(200, body.encode()))
        assert result.outcome is Outcome.REFUSED
        assert without_secrets(result, logged)


@pytest.mark.parametrize("quote", QUOTES)
async def test_an_id_that_quotes_is_not_stored_and_the_log_says_so_once(quote: str) -> None:
    result = parse_response(200, json.dumps({"id": f"msg-{quote}-5640"}).encode())
    redacted, logged = await stored(result, result)
    assert redacted == SendResult(Outcome.ACCEPTED)
    assert logged == [{"event": "provider_id.withheld", "log_level": "warning", "sender": "one"}]


async def test_a_detail_that_the_sender_composed_is_redacted_too() -> None:
    result, logged = await stored(SendResult(Outcome.PERMANENT, f"no route to {NUMBER}", CODE))
    assert (result.detail, result.provider_id) == ("no_route_to__", "")
    assert without_secrets(result, logged)


@pytest.mark.parametrize("identity", ["SM0123456789abcdef", "2019:538884664", "877926", "1381234567"])
async def test_an_id_that_quotes_nothing_is_stored(identity: str) -> None:
    result, logged = await stored(SendResult(Outcome.ACCEPTED, provider_id=identity))
    assert (result.provider_id, logged) == (identity, [])


async def test_a_quoted_short_number_is_withheld_too() -> None:
    short = OutgoingMessage(
        UUID(int=1), E164("+2905123"), "", CODE, Purpose.SIGN_UP, Language.ENGLISH, timedelta(minutes=5)
    )
    result = await SenderPool.of_one(Quoting(SendResult(Outcome.REFUSED, "no_5123"))).send(
        "one", short, timedelta(minutes=5)
    )
    assert result.detail == "withheld"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("isv.BUSINESS_LIMIT_CONTROL", "isv.BUSINESS_LIMIT_CONTROL"),
        ("30007", "30007"),
        ("code 123456", "code__"),
        ("123 456", "_"),
        ("x" * 62 + "123456", "x" * 62 + "_"),
        ("12345", "12345"),
        ("123456".translate(WIDE), ""),
    ],
)
def test_an_error_code_has_at_most_five_digits_in_a_row(text: str, expected: str) -> None:
    assert safe_error_code(text) == expected
