"""What ends tickets, on a real PostgreSQL: none that was made before opens, sets or repeats anything."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from support.auth import (
    HOME,
    OPERATOR,
    Auth,
    code_login,
    fresh_address,
    fresh_number,
    fresh_secret,
    password_change,
    password_reset,
    refusal,
    registration,
)

from auth_service.lifecycle.bans import Bans
from auth_service.lifecycle.bans_store import BansStore
from shared import postgres
from shared.errors import ErrorCode
from shared.internal_api.auth import (
    CHANGE_PASSWORD,
    CHANGE_PHONE,
    END_OTHERS,
    LOG_IN_WITH_CODE,
    LOG_IN_WITH_PASSWORD,
    LOOK_UP,
    REGISTER,
    RESET_PASSWORD,
    ChangePhone,
    EndOthers,
    LoggedIn,
    LogInWithPassword,
    LookUp,
)
from shared.internal_api.sms import Purpose
from shared.networks import NetworkKey, RequestSource
from shared.phone import E164


@dataclass
class User:
    """A user, and the number that they have now."""

    number: E164
    secret: str
    session: LoggedIn


async def new_user(auth: Auth) -> User:
    number, secret = fresh_number(), fresh_secret()
    return User(number, secret, await auth.register(number, secret))


async def change_password(auth: Auth, user: User) -> None:
    secret = fresh_secret()
    await auth.call(CHANGE_PASSWORD, password_change(user.session, user.secret, secret))
    user.secret = secret


async def reset_password(auth: Auth, user: User) -> None:
    user.secret = fresh_secret()
    await auth.call(RESET_PASSWORD, password_reset(auth.ticket(user.number, Purpose.RESET_PASSWORD), user.secret))


async def end_other_sessions(auth: Auth, user: User, address: str = HOME) -> None:
    user_id, session_id = user.session.account.user_id, user.session.session_id
    await auth.call(END_OTHERS, EndOthers(user_id=user_id, session_id=session_id, address=address))


async def ban_and_unban(auth: Auth, user: User) -> None:
    async with postgres.pool(auth.settings.postgres_url, auth.settings.auth_database) as pool:
        bans = Bans(BansStore(pool), auth.phones)
        await bans.ban(user.session.account.user_id, OPERATOR)
        await bans.unban(user.session.account.user_id, OPERATOR)


async def move(auth: Auth, user: User, number: E164) -> None:
    tickets = {
        name: auth.ticket(phone, Purpose.CHANGE_PHONE) for name, phone in (("old", user.number), ("new", number))
    }
    await auth.call(CHANGE_PHONE, moving(user, tickets["old"], tickets["new"]))
    user.number = number


def moving(user: User, old_ticket: str, new_ticket: str) -> ChangePhone:
    account, session_id = user.session.account, user.session.session_id
    tickets = {"old_ticket": old_ticket, "new_ticket": new_ticket}
    return ChangePhone(user_id=account.user_id, session_id=session_id, address=HOME, dialect="native", **tickets)


async def change_number_and_back(auth: Auth, user: User) -> None:
    before = user.number
    await move(auth, user, fresh_number())
    await move(auth, user, before)


async def erase_and_register_again(auth: Auth, user: User) -> None:
    await auth.erase(user.session.account.user_id)
    user.session = await auth.register(user.number, user.secret)


Ending = Callable[[Auth, User], Awaitable[None]]
ENDINGS = [
    change_password,
    reset_password,
    end_other_sessions,
    ban_and_unban,
    change_number_and_back,
    erase_and_register_again,
]


@pytest.mark.parametrize("end_tickets", ENDINGS, ids=lambda ending: ending.__name__)
async def test_an_unspent_ticket_is_dead_after(auth: Auth, end_tickets: Ending) -> None:
    user, new_number = await new_user(auth), fresh_number()
    sign_in, reset = (auth.ticket(user.number, purpose) for purpose in (Purpose.SIGN_IN, Purpose.RESET_PASSWORD))
    old, new = (auth.ticket(number, Purpose.CHANGE_PHONE) for number in (user.number, new_number))

    await end_tickets(auth, user)

    for call in (
        auth.call(LOG_IN_WITH_CODE, code_login(sign_in)),
        auth.call(RESET_PASSWORD, password_reset(reset, fresh_secret())),
        auth.call(CHANGE_PHONE, moving(user, old, auth.ticket(new_number, Purpose.CHANGE_PHONE))),
        auth.call(CHANGE_PHONE, moving(user, auth.ticket(user.number, Purpose.CHANGE_PHONE), new)),
    ):
        assert await refusal(call) is ErrorCode.CODE_REFUSED
    assert await auth.call(LOG_IN_WITH_CODE, code_login(auth.ticket(user.number, Purpose.SIGN_IN)))


@pytest.mark.parametrize("end_tickets", ENDINGS, ids=lambda ending: ending.__name__)
async def test_a_spent_ticket_repeats_nothing_after(auth: Auth, end_tickets: Ending) -> None:
    number, secret = fresh_number(), fresh_secret()
    sign_up, sign_in = auth.ticket(number), auth.ticket(number, Purpose.SIGN_IN)
    user = User(number, secret, await auth.call(REGISTER, registration(sign_up, secret)))
    sign_in = auth.ticket(number, Purpose.SIGN_IN)
    await auth.call(LOG_IN_WITH_CODE, code_login(sign_in))

    await end_tickets(auth, user)

    assert await refusal(auth.call(LOG_IN_WITH_CODE, code_login(sign_in))) is ErrorCode.CODE_REFUSED
    assert await refusal(auth.call(REGISTER, registration(sign_up, user.secret))) is ErrorCode.CODE_REFUSED


async def test_a_reset_and_a_change_of_number_are_repeated_with_their_own_tickets(auth: Auth) -> None:
    user, new_number, secret = await new_user(auth), fresh_number(), fresh_secret()
    reset = password_reset(auth.ticket(user.number, Purpose.RESET_PASSWORD), secret, address=fresh_address())
    again = reset.model_copy(update={"address": fresh_address()})
    for request in (reset, again, again):
        assert await auth.call(RESET_PASSWORD, request)
    other = reset.model_copy(update={"secret": fresh_secret()})
    assert await refusal(auth.call(RESET_PASSWORD, other)) is ErrorCode.CODE_REFUSED

    old, new = (auth.ticket(number, Purpose.CHANGE_PHONE) for number in (user.number, new_number))
    for _ in range(3):
        assert (await auth.call(CHANGE_PHONE, moving(user, old, new))).phone == new_number


async def test_a_registration_without_a_password_is_repeated_in_its_network_only(auth: Auth) -> None:
    ticket = auth.ticket(fresh_number())
    assert await auth.call(REGISTER, registration(ticket, None))

    for _ in range(50):
        elsewhere = registration(ticket, None, address=fresh_address())
        assert await refusal(auth.call(REGISTER, elsewhere)) is ErrorCode.CODE_REFUSED
    assert await auth.call(REGISTER, registration(ticket, None))


async def known_networks(auth: Auth, number: E164) -> list[int]:
    found = await auth.call(LOOK_UP, LookUp(phones=[fresh_number(), number]))
    assert found.known_networks[0] == []
    networks: list[int] = found.known_networks[1]
    return networks


def network_refs(auth: Auth, *addresses: str) -> list[int]:
    """The references of these addresses' networks, sorted."""
    key = NetworkKey(bytes.fromhex(auth.settings.phone_key.get_secret_value()))
    return sorted(key.ref(RequestSource(ip_address(address))) for address in addresses)


async def test_every_proof_of_a_number_makes_its_network_known_and_a_wrong_password_does_not(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    homes = {way: fresh_address() for way in ("register", "password", "code", "wrong")}
    await auth.call(REGISTER, registration(auth.ticket(number), secret, address=homes["register"]))
    await auth.log_in(number, secret, homes["password"])
    code = code_login(auth.ticket(number, Purpose.SIGN_IN), address=homes["code"])
    await auth.call(LOG_IN_WITH_CODE, code)
    assert await refusal(auth.log_in(number, fresh_secret(), homes.pop("wrong"))) is ErrorCode.CREDENTIALS_REFUSED

    assert sorted(await known_networks(auth, number)) == network_refs(auth, *homes.values())


@pytest.mark.parametrize("way", ["reset", "change"])
async def test_a_new_password_leaves_only_the_network_known_where_it_was_set(auth: Auth, way: str) -> None:
    user, here = await new_user(auth), fresh_address()
    for _ in range(3):
        await auth.log_in(user.number, user.secret)

    if way == "reset":
        ticket = auth.ticket(user.number, Purpose.RESET_PASSWORD)
        await auth.call(RESET_PASSWORD, password_reset(ticket, fresh_secret(), address=here))
    else:
        await auth.call(CHANGE_PASSWORD, password_change(user.session, user.secret, fresh_secret(), here))

    assert await known_networks(auth, user.number) == network_refs(auth, here)


async def test_a_reset_by_way_of_an_app_that_tells_no_address_leaves_no_network_known(auth: Auth) -> None:
    user = await new_user(auth)
    ticket = auth.ticket(user.number, Purpose.RESET_PASSWORD)

    await auth.call(RESET_PASSWORD, password_reset(ticket, fresh_secret(), address=None, app="shop"))

    assert await known_networks(auth, user.number) == []


async def test_ending_all_sessions_forgets_all_networks_but_the_callers(auth: Auth) -> None:
    user, here = await new_user(auth), fresh_address()
    for address in (here, fresh_address()):
        await auth.log_in(user.number, user.secret, address)

    await end_other_sessions(auth, user, here)

    assert await known_networks(auth, user.number) == network_refs(auth, here)


async def test_a_stolen_session_cannot_make_the_networks_of_its_owner_unknown(auth: Auth) -> None:
    user = await new_user(auth)
    await auth.log_in(user.number, user.secret)
    before = await known_networks(auth, user.number)

    await end_other_sessions(auth, user, fresh_address())

    assert sorted(await known_networks(auth, user.number)) == sorted(before)
    assert len(before) == 2


async def test_a_log_in_that_is_being_written_leaves_no_network_known_after_a_reset(auth: Auth) -> None:
    user, thief, here = await new_user(auth), fresh_address(), fresh_address()
    reset = password_reset(auth.ticket(user.number, Purpose.RESET_PASSWORD), fresh_secret(), address=here)

    await asyncio.gather(
        *(auth.log_in(user.number, user.secret, thief) for _ in range(3)),
        auth.call(RESET_PASSWORD, reset),
        return_exceptions=True,
    )

    assert await known_networks(auth, user.number) == network_refs(auth, here)


async def test_a_user_has_the_eight_newest_known_networks_of_the_last_90_days(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    age = "update known_networks set proven_on = proven_on - $2::int where user_id = $1"
    for _ in range(10):
        await auth.database.execute(age, user.account.user_id, 1)
        await auth.log_in(number, secret)
    stored = "select count(*) from known_networks where user_id = $1"
    assert await auth.database.fetchval(stored, user.account.user_id) == 8
    newest = await known_networks(auth, number)
    assert len(newest) == 8

    await auth.database.execute(age, user.account.user_id, 83)
    assert await known_networks(auth, number) == newest[:7]
    await auth.database.execute(age, user.account.user_id, 90)
    assert await known_networks(auth, number) == []


async def test_a_change_of_number_keeps_the_present_network_and_an_erasure_none(auth: Auth) -> None:
    user = await new_user(auth)
    for _ in range(3):
        await auth.log_in(user.number, user.secret)
    await move(auth, user, fresh_number())
    assert len(await known_networks(auth, user.number)) == 1

    await auth.erase(user.session.account.user_id)
    stored = "select count(*) from known_networks where user_id = $1"
    assert await auth.database.fetchval(stored, user.session.account.user_id) == 0


async def test_log_ins_at_once_from_one_network_note_it_once(auth: Auth) -> None:
    user, address = await new_user(auth), fresh_address()
    for index in range(4):
        request = LogInWithPassword(phone=user.number, secret=user.secret, address=address, dialect="native")
        await auth.clients[index % 2].call(LOG_IN_WITH_PASSWORD, request)
    assert len(await known_networks(auth, user.number)) == 2
