"""Signatures of Standard Webhooks: the published example is verified, and any change to it is not."""

from itertools import pairwise

import pytest

from shared.webhooks.signature import ID, SIGNATURE, TIMESTAMP, WebhookKey

KEY = WebhookKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = b'{"test": 2432232314}'
NOW = 1614265330
HEADERS = {
    ID: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    TIMESTAMP: str(NOW),
    SIGNATURE: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_the_published_example_is_signed_and_verified() -> None:
    assert KEY.headers(HEADERS[ID], BODY, now=NOW) == HEADERS
    assert KEY.verifies(HEADERS, BODY, now=NOW)
    assert KEY.verifies(HEADERS | {SIGNATURE: "v1,AAAA v2,BBBB " + HEADERS[SIGNATURE]}, BODY, now=NOW + 299)


@pytest.mark.parametrize(
    "change",
    [
        {ID: "msg_other"},
        {TIMESTAMP: str(NOW + 1)},
        {TIMESTAMP: "x"},
        {TIMESTAMP: "１"},
        {SIGNATURE: ""},
        {SIGNATURE: "v1,é"},
    ],
)
def test_a_changed_message_is_not_verified(change: dict[str, str]) -> None:
    assert not KEY.verifies(HEADERS | change, BODY, now=NOW)
    assert not KEY.verifies({}, BODY, now=NOW)
    assert not KEY.verifies(HEADERS, BODY + b" ", now=NOW)
    assert not WebhookKey("another").verifies(HEADERS, BODY, now=NOW)


@pytest.mark.parametrize("seconds", [301, -301])
def test_a_timestamp_more_than_five_minutes_away_is_not_verified(seconds: int) -> None:
    assert not KEY.verifies(HEADERS, BODY, now=NOW + seconds)


def test_while_the_secret_is_replaced_each_side_verifies_what_the_other_signs() -> None:
    steps = [WebhookKey(secrets) for secrets in ("old", "old,new", "new,old", "new")]
    for ours, theirs in pairwise(steps):
        assert theirs.verifies(ours.headers("msg_1", BODY, now=NOW), BODY, now=NOW)
        assert ours.verifies(theirs.headers("msg_1", BODY, now=NOW), BODY, now=NOW)
    assert not steps[0].verifies(steps[3].headers("msg_1", BODY, now=NOW), BODY, now=NOW)
