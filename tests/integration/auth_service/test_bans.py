"""Bans from the command line: sessions end, log-in is refused, and a repeat changes nothing."""

import pytest
from support.auth import HOME, Auth, command, fresh_number, fresh_secret, password_reset, refusal

from shared.errors import ErrorCode
from shared.internal_api.auth import CHANGE_PHONE, RESET_PASSWORD, RESOLVE, ChangePhone, Resolve
from shared.internal_api.sms import Purpose

WHO = ("--by", "ada", "--reason", "abuse")


async def test_a_banned_user_is_refused_and_may_log_in_again_after_the_ban(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    registered = await auth.register(number, secret)
    user = str(registered.account.user_id)

    assert await command(auth, "ban", user, *WHO) == (0, f"user {user} is banned\n")

    assert await refusal(auth.call(RESOLVE, Resolve(token=registered.token))) is ErrorCode.UNAUTHENTICATED
    assert await refusal(auth.log_in(number, secret)) is ErrorCode.ACCOUNT_BANNED
    assert await refusal(auth.log_in(number, fresh_secret())) is ErrorCode.CREDENTIALS_REFUSED
    for request in (
        (RESET_PASSWORD, password_reset(auth.ticket(number, Purpose.RESET_PASSWORD), secret)),
        (CHANGE_PHONE, ChangePhone(
            user_id=registered.account.user_id, session_id=registered.session_id, dialect="tel", address=HOME,
            old_ticket=auth.ticket(number, Purpose.CHANGE_PHONE),
            new_ticket=auth.ticket(fresh_number(), Purpose.CHANGE_PHONE),
        )),
    ):  # fmt: skip
        assert await refusal(auth.call(*request)) is ErrorCode.ACCOUNT_BANNED

    assert await command(auth, "unban", user, *WHO) == (0, f"user {user} is no longer banned\n")

    assert (await auth.log_in(number, secret)).account.banned_at is None
    assert await refusal(auth.call(RESOLVE, Resolve(token=registered.token))) is ErrorCode.UNAUTHENTICATED


async def test_a_ban_is_published_once(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    registered = await auth.register(number, secret)
    other = await auth.log_in(number, secret)
    user = str(registered.account.user_id)

    outcomes = [
        await command(auth, *words, *WHO) for words in (("ban", user), ("ban", user), ("unban", user), ("unban", user))
    ]

    assert [status for status, _ in outcomes] == [0, 0, 0, 0]
    assert outcomes[1][1] == f"user {user} is already banned\n"
    assert outcomes[3][1] == f"user {user} is not banned\n"
    events = await auth.listener.of_user(registered.account.user_id, 9)
    updates = [event for event in events if event["type"] == "auth.user.updated.v1"]
    assert [(event["version"], event["data"]["disabled"]) for event in updates] == [(2, True), (3, False)]
    revoked = [event["data"] for event in events if event["type"] == "auth.session.revoked.v1"]
    assert {each["session_id"] for each in revoked} == {str(registered.session_id), str(other.session_id)}
    assert {each["cause"] for each in revoked} == {"ban"}
    bans = [(event["type"], event["data"].get("sessions_revoked")) for event in events if ".ban." in event["type"]]
    assert bans == [("auth.ban.imposed.v1", 2), ("auth.ban.lifted.v1", None)]
    assert len(events) == 9
    assert (await auth.actions(number))[-2:] == ["account.banned", "account.unbanned"]


@pytest.mark.parametrize("user", [str(2**47 + 1), "1", "-5", str(2**80)])
@pytest.mark.parametrize("word", ["ban", "unban", "erase"])
async def test_an_unknown_user_is_reported(auth: Auth, word: str, user: str) -> None:
    assert await command(auth, word, *WHO, "--", user) == (1, f"auth-service: there is no user {user}\n")
