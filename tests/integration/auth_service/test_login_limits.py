"""Whom the limits on log-ins refuse: guessers and floods, and neither owners nor neighbours. On a real PostgreSQL."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from support.auth import HOME, Auth, fresh_address, fresh_number, fresh_secret, refusal, registration, serving
from support.login_limits import LIMITS, add, age, fill
from support.patience import until_accepted

from auth_service.digests.model import PresentedPassword
from auth_service.passwords.hasher import PasswordCheck, PasswordHasher
from gateway.flows.busy_hold import BusyHold
from gateway.flows.services import Client
from shared.errors import ErrorCode, ServiceError
from shared.internal_api import upstream
from shared.internal_api.auth import LOG_IN_WITH_PASSWORD, REGISTER, LoggedIn, LogInWithPassword
from shared.networks import RequestSource
from shared.phone import E164

GUESSERS = 10
"""The networks of an attacker."""
ANOTHER_NETWORK = 1 << 72
"""The bit of an IPv6 address that makes it one of another /56 in the same /48."""


def logging_in(number: E164, secret: str, address: str) -> LogInWithPassword:
    return LogInWithPassword(phone=number, secret=secret, address=address, dialect="maitian", client="test")


async def log_in(client: Client, number: E164, secret: str, address: str) -> LoggedIn:
    return await client.call(LOG_IN_WITH_PASSWORD, logging_in(number, secret, address))


async def owner(auth: Auth, address: str) -> tuple[E164, str, str]:
    """A new account: its number, its password, and the address that it was registered from."""
    number, secret = fresh_number(), fresh_secret()
    request = registration(auth.ticket(number), secret, address=address)
    await until_accepted(lambda: auth.call(REGISTER, request))
    return number, secret, address


async def guess(auth: Auth, number: E164, address: str) -> ServiceError:
    """Try a wrong password, again when the machine is busy."""
    request = logging_in(number, fresh_secret(), address)
    with pytest.raises(ServiceError) as refused:
        await until_accepted(lambda: auth.call(LOG_IN_WITH_PASSWORD, request))
    return refused.value


async def test_no_owner_is_refused_while_ten_networks_guess_their_passwords(auth: Auth) -> None:
    owners = [await owner(auth, fresh_address()) for _ in range(4)]
    networks = [fresh_address() for _ in range(GUESSERS)]
    answers = Counter[tuple[E164, ErrorCode]]()
    for number, _, _ in owners:
        for turn in range(4 * GUESSERS):
            refused = await guess(auth, number, networks[turn % GUESSERS])
            answers[number, refused.code] += 1

    admitted = [await auth.log_in(*each) for each in owners]

    assert [user.account.phone for user in admitted] == [number for number, _, _ in owners]
    allowed = LIMITS.failures_per_number_day
    assert {answers[number, ErrorCode.CREDENTIALS_REFUSED] for number, _, _ in owners} == {allowed}
    assert {answers[number, ErrorCode.CALLER_LIMIT] for number, _, _ in owners} == {4 * GUESSERS - allowed}


async def test_guesses_at_one_number_from_ever_new_networks_slow_down_to_one_in_48_minutes(auth: Auth) -> None:
    number, secret, home = await owner(auth, fresh_address())
    await fill(auth, fresh_address(), number, LIMITS.failures_per_number_day)

    limited = [await guess(auth, number, fresh_address()) for _ in range(3)]
    with pytest.raises(ServiceError) as lucky:
        await auth.log_in(number, secret, fresh_address())
    await age(auth, 48 * 60)
    later = [(await guess(auth, number, fresh_address())).code for _ in range(2)]

    assert {(error.code, error.retry_after) for error in limited} <= {
        (ErrorCode.CALLER_LIMIT, wait) for wait in range(47 * 60, 48 * 60 + 1)
    }
    assert lucky.value.code is ErrorCode.CALLER_LIMIT
    assert later == [ErrorCode.CREDENTIALS_REFUSED, ErrorCode.CALLER_LIMIT]
    assert (await auth.log_in(number, secret, home)).account.phone == number


async def test_a_full_network_passes_those_who_logged_in_from_there_before_and_refuses_all_others_alike(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = fresh_address()
    number, secret, _ = await owner(auth, address)
    stranger, right, _ = await owner(auth, fresh_address())
    await fill(auth, address, fresh_number(), LIMITS.failures.network)
    hashed = []
    verify = PasswordHasher._verify

    def watched(self: PasswordHasher, password_hash: str, password: PresentedPassword) -> object:
        hashed.append(password_hash)
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "_verify", watched)

    refused = [
        await refusal(auth.log_in(number, fresh_secret(), address)),
        await refusal(auth.log_in(stranger, right, address)),
        await refusal(auth.log_in(stranger, fresh_secret(), address)),
        await refusal(auth.log_in(fresh_number(), fresh_secret(), address)),
    ]

    assert refused == [ErrorCode.CALLER_LIMIT] * 4
    assert len(hashed) == 4
    assert (await auth.log_in(number, secret, address)).account.phone == number


@pytest.mark.parametrize("app", ["", "shop"])
async def test_no_owner_is_refused_after_strangers_of_their_app_or_of_their_site_failed(auth: Auth, app: str) -> None:
    number, secret, home = await owner(auth, fresh_address())
    other, right, _ = await owner(auth, fresh_address())
    stranger = fresh_address() if app else str(ip_address(int(ip_address(home)) ^ ANOTHER_NETWORK))
    for victim in (number, other):
        await fill(auth, stranger, victim, LIMITS.per_number_in_app if app else LIMITS.per_number_in_site, app)

    def request(phone: E164, password: str) -> LogInWithPassword:
        return logging_in(phone, password, home).model_copy(update={"app": app})

    assert await refusal(auth.call(LOG_IN_WITH_PASSWORD, request(number, fresh_secret()))) is ErrorCode.CALLER_LIMIT
    assert await refusal(auth.call(LOG_IN_WITH_PASSWORD, request(other, right))) is ErrorCode.CALLER_LIMIT
    assert (await auth.call(LOG_IN_WITH_PASSWORD, request(number, secret))).account.phone == number


async def test_a_network_is_forgotten_after_ninety_days(auth: Auth) -> None:
    number, secret, address = await owner(auth, fresh_address())
    await fill(auth, fresh_address(), number, LIMITS.failures_per_number_day)
    await auth.database.execute("update known_networks set proven_on = current_date - 89")
    known = await auth.log_in(number, secret, address)
    await auth.database.execute("update known_networks set proven_on = current_date - 90")

    assert known.account.phone == number
    assert await refusal(auth.log_in(number, secret, address)) is ErrorCode.CALLER_LIMIT


async def test_a_new_password_by_code_makes_the_network_known_again(auth: Auth) -> None:
    number, _, _ = await owner(auth, fresh_address())
    await fill(auth, fresh_address(), number, LIMITS.failures_per_number_day)
    abroad, secret = fresh_address(), fresh_secret()
    await auth.reset_password(number, secret, abroad)

    assert (await auth.log_in(number, secret, abroad)).account.phone == number


async def test_a_number_logs_in_twenty_times_and_then_once_in_three_minutes(auth: Auth) -> None:
    number, secret, address = await owner(auth, fresh_address())
    sessions = "select count(*) from sessions join accounts using (user_id) where phone = $1"
    for _ in range(LIMITS.successes_per_number):
        await auth.log_in(number, secret, address)

    with pytest.raises(ServiceError) as refused:
        await auth.log_in(number, secret, fresh_address())
    opened = await auth.database.fetchval(sessions, number)
    await age(auth, 180)

    assert (refused.value.code, opened) == (ErrorCode.CALLER_LIMIT, 1 + LIMITS.successes_per_number)
    assert 170 <= (refused.value.retry_after or 0) <= 180
    assert await refusal(auth.log_in(number, fresh_secret(), address)) is ErrorCode.CREDENTIALS_REFUSED
    assert (await auth.log_in(number, secret, address)).account.phone == number
    assert await refusal(auth.log_in(number, secret, address)) is ErrorCode.CALLER_LIMIT


async def test_log_ins_beyond_the_limit_count_as_failures_and_soon_cost_no_hashing(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, secret, address = await owner(auth, fresh_address())
    hashed = []
    verify = PasswordHasher._verify

    def watched(self: PasswordHasher, password_hash: str, password: PresentedPassword) -> object:
        hashed.append(password_hash)
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "_verify", watched)

    await add(auth, LIMITS.success_buckets(auth.phones.ref(number), RequestSource(None), is_known=True), 20)

    refused = [await refusal(auth.log_in(number, secret, address)) for _ in range(LIMITS.failures_per_number + 1)]

    assert refused == [ErrorCode.CALLER_LIMIT] * (LIMITS.failures_per_number + 1)
    assert len(hashed) == LIMITS.failures_per_number


async def test_a_network_limits_the_log_ins_of_numbers_that_are_new_there_and_of_no_others(auth: Auth) -> None:
    address, users = fresh_address(), [await owner(auth, fresh_address()) for _ in range(3)]
    limited = {"caller_logins_per_network_hour": 2}

    async with serving(auth.settings.model_copy(update=limited)) as client:
        for number, secret, _ in users[:2]:
            await log_in(client, number, secret, address)
        number, secret, _ = users[2]
        refused = await refusal(log_in(client, number, secret, address))
        again = [await log_in(client, number, secret, address) for number, secret, _ in users[:2]]
        elsewhere = await log_in(client, number, secret, fresh_address())

    assert refused is ErrorCode.CALLER_LIMIT
    assert [user.account.phone for user in again] == [number for number, _, _ in users[:2]]
    assert elsewhere.account.phone == number


async def test_others_log_in_while_three_networks_have_three_hundred_log_ins_in_flight(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = [await owner(auth, HOME) for _ in range(50)]
    attackers, others = crowd[:30], crowd[30:]
    addresses = [fresh_address() for _ in range(3)]
    unlimited = auth.settings.model_copy(update={"caller_limits": "off"})

    def verified(*_: object) -> PasswordCheck:
        time.sleep(0.02)  # as long as a hash takes, without its load on the machine
        return PasswordCheck(matches=True)

    monkeypatch.setattr(PasswordHasher, "_verify", verified)
    monkeypatch.setattr(upstream, "CONNECT_SECONDS", 10.0)  # all share one loop, perhaps on a busy machine

    async def flood(client: Client, users: Sequence[tuple[E164, str, str]], address: str) -> None:
        for number, secret, _ in users:
            try:
                await log_in(client, number, secret, address)
            except ServiceError as error:
                assert error.code is ErrorCode.UNAVAILABLE

    async with serving(unlimited) as client:
        in_flight = [
            asyncio.create_task(flood(BusyHold(client), attackers[turn % 3 :: 15], addresses[turn % 3]))
            for turn in range(300)
        ]
        admitted = [await log_in(client, number, secret, fresh_address()) for number, secret, _ in others]
        await asyncio.gather(*in_flight)

    assert [user.account.phone for user in admitted] == [number for number, _, _ in others]
