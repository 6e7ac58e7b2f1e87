"""Usernames on a real PostgreSQL: unique ignoring case, and a taken one does not spend the ticket."""

import asyncio
import secrets
from collections import Counter
from functools import partial

import pytest
from support.auth import Auth, fresh_number, fresh_secret, refusal, registration
from support.patience import until_accepted

from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import REGISTER, Register


def fresh_name() -> str:
    return f"Eric {secrets.token_hex(6)}"


def named(auth: Auth, name: str | None, *, ticket: str | None = None, secret: str | None = None) -> Register:
    ticket, secret = ticket or auth.ticket(fresh_number()), secret or fresh_secret()
    return registration(ticket, secret, name=name, dialect="phone_info")


async def test_a_name_is_stored_as_it_was_written(auth: Auth) -> None:
    name = fresh_name()

    user = await auth.call(REGISTER, named(auth, name))

    assert user.account.name == name


@pytest.mark.parametrize(
    "spell",
    [
        *(str, str.upper, str.lower, str.swapcase),
        *(lambda name: name.replace("E", "Ｅ"), "{} ".format, "{}\u200b".format, "\u202e{}".format),
    ],
)
async def test_a_name_is_taken_in_every_spelling(auth: Auth, spell) -> None:
    name = fresh_name()
    await auth.call(REGISTER, named(auth, name))

    assert await refusal(auth.call(REGISTER, named(auth, spell(name)))) is ErrorCode.NAME_TAKEN


async def test_a_taken_name_does_not_spend_the_ticket(auth: Auth) -> None:
    name, ticket = fresh_name(), auth.ticket(fresh_number())
    await auth.call(REGISTER, named(auth, name))
    assert await refusal(auth.call(REGISTER, named(auth, name, ticket=ticket))) is ErrorCode.NAME_TAKEN

    user = await auth.call(REGISTER, named(auth, fresh_name(), ticket=ticket))

    assert user.account.version == 1


async def test_a_repeat_succeeds_with_the_same_name_only(auth: Auth) -> None:
    name, ticket, secret = fresh_name(), auth.ticket(fresh_number()), fresh_secret()
    user = await auth.call(REGISTER, named(auth, name, ticket=ticket, secret=secret))

    again = await auth.call(REGISTER, named(auth, name, ticket=ticket, secret=secret))

    assert again.account.user_id == user.account.user_id
    for other in (fresh_name(), name.upper(), None):
        request = named(auth, other, ticket=ticket, secret=secret)
        assert await refusal(auth.call(REGISTER, request)) is ErrorCode.CODE_REFUSED


async def test_any_number_of_accounts_may_have_no_name(auth: Auth) -> None:
    users = [await auth.call(REGISTER, named(auth, None)) for _ in range(2)]

    assert [user.account.name for user in users] == [None, None]


async def test_one_of_many_concurrent_registrations_gets_the_name(auth: Auth) -> None:
    name = fresh_name()
    calls = [until_accepted(partial(auth.clients[index % 2].call, REGISTER, named(auth, name))) for index in range(8)]

    outcomes = Counter(
        getattr(outcome, "code", "registered") for outcome in await asyncio.gather(*calls, return_exceptions=True)
    )

    assert outcomes == {"registered": 1, ErrorCode.NAME_TAKEN: 7}


async def test_concurrent_repeats_of_one_registration_with_a_name_make_one_account(auth: Auth) -> None:
    request = named(auth, fresh_name())

    users = await asyncio.gather(
        *(until_accepted(partial(auth.clients[index % 2].call, REGISTER, request)) for index in range(8))
    )

    assert len({user.account.user_id for user in users}) == 1


@pytest.mark.parametrize("name", ["", "n" * 33, "a\nb", "a\x00b", "a\x7fb", "a\x85b"])
async def test_an_invalid_name_is_refused(auth: Auth, name: str) -> None:
    request = named(auth, None).model_copy(update={"name": name})

    with pytest.raises(ServiceError) as refused:
        await auth.call(REGISTER, request)

    assert (refused.value.code, refused.value.field) == (ErrorCode.PARAMETER_INVALID, "name")
