"""What providers say is kept without the code and the number, however they quote them."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from shared.internal_api.sms import Language, Purpose
from shared.phone import E164
from sms_service.delivery.sender_pool import SenderPool
from sms_service.senders.port import Message, Outcome, SendResult, safe_error_code
from sms_service.senders.webhook import read_answer

CODE, NUMBER = "877927", E164("+8613812345678")
MESSAGE = Message(
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
    """A sender that answers what it is told to."""

    name = "one"

    def __init__(self, answer: SendResult) -> None:
        self._answer = answer

    async def send(self, _message: Message) -> SendResult:
        return self._answer


async def kept(*answers: SendResult) -> tuple[SendResult, list[dict[str, object]]]:
    """What is made of the last of some answers, and what was logged."""
    sender_pool = SenderPool.only(sender := Quoting(answers[0]))
    with capture_logs() as logged:
        for answer in answers:
            sender._answer = answer
            made = await sender_pool.send("one", MESSAGE, timedelta(minutes=5))
    return made, logged


def without_secrets(*told: object) -> bool:
    bare = "".join(one for one in repr(told) if one.isalnum())
    return CODE not in bare and NUMBER[3:] not in bare


@pytest.mark.parametrize("quote", QUOTES)
@pytest.mark.parametrize("around", ["{}", "blocked text {} to you", "{}:30007", "x" * 61 + "{}"])
async def test_a_quoted_code_or_number_is_neither_kept_nor_logged(quote: str, around: str) -> None:
    for key in ("error", "detail"):
        body = json.dumps({key: around.format(quote), **({"outcome": "refused"} if key == "detail" else {})})
        made, logged = await kept(read_answer(200, body.encode()))
        assert made.outcome is Outcome.REFUSED
        assert without_secrets(made, logged)


@pytest.mark.parametrize("quote", QUOTES)
async def test_an_id_that_quotes_is_not_kept_and_that_is_told_once(quote: str) -> None:
    answer = read_answer(200, json.dumps({"id": f"msg-{quote}-5640"}).encode())
    made, logged = await kept(answer, answer)
    assert made == SendResult(Outcome.ACCEPTED)
    assert logged == [{"event": "sender.id_withheld", "log_level": "warning", "sender": "one"}]


async def test_what_a_sender_says_by_itself_is_read_again() -> None:
    made, logged = await kept(SendResult(Outcome.PERMANENT, f"no route to {NUMBER}", CODE))
    assert (made.detail, made.provider_id) == ("no_route_to__", "")
    assert without_secrets(made, logged)


@pytest.mark.parametrize("identity", ["SM0123456789abcdef", "2019:538884664", "877926", "1381234567"])
async def test_an_id_that_quotes_nothing_is_kept(identity: str) -> None:
    made, logged = await kept(SendResult(Outcome.ACCEPTED, provider_id=identity))
    assert (made.provider_id, logged) == (identity, [])


async def test_a_short_number_is_found_too() -> None:
    short = Message(UUID(int=1), E164("+2905123"), "", CODE, Purpose.SIGN_UP, Language.ENGLISH, timedelta(minutes=5))
    made = await SenderPool.only(Quoting(SendResult(Outcome.REFUSED, "no_5123"))).send(
        "one", short, timedelta(minutes=5)
    )
    assert made.detail == "withheld"


@pytest.mark.parametrize(
    ("said", "expected"),
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
def test_a_word_holds_no_more_digits_than_an_error_code_has(said: str, expected: str) -> None:
    assert safe_error_code(said) == expected
