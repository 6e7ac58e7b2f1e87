"""Log-in with a password and its limits, on a real PostgreSQL."""

import asyncio
import hmac
from ipaddress import ip_address, ip_network

import argon2
import pytest
from support.auth import Auth, fresh_address, fresh_number, fresh_secret, refusal, serving
from support.login_limits import LIMITS, age, counted, fill
from support.patience import until_accepted

from auth_service.digests.model import PresentedPassword
from auth_service.passwords.hasher import PasswordHasher
from auth_service.passwords.login_limit_store import LoginLimitStore
from auth_service.sessions.session_store import SessionStore
from shared import postgres
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import LOG_IN_WITH_PASSWORD, RESOLVE, LogInWithPassword, Resolve
from shared.keys import KeyRing
from shared.networks import RequestSource


def logging_in(number: str, secret: str, address: str) -> LogInWithPassword:
    return LogInWithPassword(phone=number, secret=secret, address=address, dialect="maitian")


async def test_a_log_in_opens_a_session_of_its_own(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)

    logged_in = await auth.log_in(number, secret)

    assert logged_in.account.user_id == user.account.user_id
    assert logged_in.account.last_login_at > user.account.last_login_at
    assert logged_in.account.version == 1
    assert (await auth.call(RESOLVE, Resolve(token=logged_in.token))).session_id == logged_in.session_id
    assert (await auth.call(RESOLVE, Resolve(token=user.token))).session_id == user.session_id
    assert await auth.actions(number) == ["register.succeeded", "log_in_with_password.succeeded"]


async def test_an_unknown_number_is_refused_as_a_wrong_password_is_after_the_same_work(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = fresh_number(), fresh_number()
    await auth.register(known, fresh_secret())
    costs = []
    verify = PasswordHasher._verify

    def watched(self: PasswordHasher, password_hash: str, password: PresentedPassword) -> object:
        costs.append(password_hash.rsplit("$", 2)[0])
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "_verify", watched)

    answers = [await refusal(auth.log_in(number, fresh_secret())) for number in (known, unknown)]

    assert answers == [ErrorCode.CREDENTIALS_REFUSED] * 2
    assert costs == ["1$argon2id$v=19$m=19456,t=2,p=1"] * 2
    assert await auth.actions(unknown) == ["log_in_with_password.refused"]


async def test_a_ban_is_revealed_only_after_the_correct_password(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    await auth.database.execute("update accounts set banned_at = now() where phone = $1", number)

    assert await refusal(auth.log_in(number, fresh_secret())) is ErrorCode.CREDENTIALS_REFUSED
    assert await refusal(auth.log_in(number, secret)) is ErrorCode.ACCOUNT_BANNED
    assert await refusal(auth.call(RESOLVE, Resolve(token=user.token))) is ErrorCode.UNAUTHENTICATED
    assert await auth.actions(number) == [
        "register.succeeded",
        "log_in_with_password.refused",
        "log_in_with_password.banned",
    ]


async def test_a_log_in_replaces_an_outdated_hash(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    user = await auth.register(number, secret)
    read = "select password_hash, version from accounts where phone = $1"
    current, _ = await auth.database.fetchrow(read, number)
    peppers = KeyRing.parse(auth.settings.password_peppers.get_secret_value())
    weak = argon2.PasswordHasher(1, 64, 1).hash(hmac.digest(peppers.secret, secret.encode(), "sha256"))
    await auth.database.execute("update accounts set password_hash = $2 where phone = $1", number, f"1{weak}")

    both = await asyncio.gather(auth.log_in(number, secret), auth.log_in(number, secret))

    password_hash, version = await auth.database.fetchrow(read, number)
    assert {answer.account.user_id for answer in both} == {user.account.user_id}
    assert password_hash not in {current, f"1{weak}"}
    assert password_hash.startswith("1$argon2id$v=19$m=19456,t=2,p=1$")
    assert version == 1
    assert (await auth.log_in(number, secret)).account.user_id == user.account.user_id


async def test_ten_of_many_concurrent_guesses_are_checked(auth: Auth) -> None:
    number, address = fresh_number(), fresh_address()
    await auth.register(number, fresh_secret())

    async def guess(index: int) -> ServiceError:
        request = logging_in(number, fresh_secret(), address)
        with pytest.raises(ServiceError) as refused:
            await until_accepted(lambda: auth.clients[index % 2].call(LOG_IN_WITH_PASSWORD, request))
        return refused.value

    refused = await asyncio.gather(*map(guess, range(60)))

    checked = sum(error.code is ErrorCode.CREDENTIALS_REFUSED for error in refused)
    # Fewer if an answer was lost on a busy machine: its guess is repeated, and limited.
    assert checked <= LIMITS.failures_per_number
    limited = [error for error in refused if error.code is ErrorCode.CALLER_LIMIT]
    assert len(limited) == len(refused) - checked
    assert all(1 <= (error.retry_after or 0) <= 90 for error in limited)
    assert (await auth.actions(number)).count("log_in_with_password.limited") in range(1, len(limited))
    assert (await auth.actions(number)).count("log_in_with_password.refused") <= LIMITS.failures_per_number


async def test_guesses_that_race_to_fill_a_new_bucket_are_counted(auth: Auth, postgres_url: str) -> None:
    number = fresh_number()
    buckets = LIMITS.failure_buckets(auth.phones.ref(number), RequestSource(ip_address(fresh_address())))

    async with postgres.pool(postgres_url, auth.settings.auth_database) as pool, auth.database.acquire() as other:
        async with other.transaction():  # another process fills the new bucket and has not committed yet
            names = [bucket.name for bucket in buckets]
            nine = [9 * bucket.interval for bucket in buckets]
            add = "insert into login_limits select name, now() + nine from unnest($1::text[], $2::interval[]) as b (name, nine)"
            await other.execute(add, names, nine)
            waiting = [asyncio.create_task(LoginLimitStore(pool).start(number, buckets, None)) for _ in range(5)]
            await auth.wait_for_locks(5)
        checks = await asyncio.gather(*waiting)

    assert sum(check.retry_after == 0 for check in checks) == 1


async def test_the_owner_logs_in_from_another_network_while_a_guesser_is_refused(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    user = await auth.register(number, secret)
    await fill(auth, address, number, LIMITS.failures_per_number)

    assert await refusal(auth.log_in(number, secret, address)) is ErrorCode.CALLER_LIMIT
    assert (await auth.log_in(number, secret)).account.user_id == user.account.user_id


async def test_a_refusal_lasts_until_one_attempt_has_come_back(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    await auth.register(number, secret)
    await fill(auth, address, number, LIMITS.failures_per_number)

    with pytest.raises(ServiceError) as refused:
        await auth.log_in(number, secret, address)
    await age(auth, 91)

    assert 80 <= (refused.value.retry_after or 0) <= 90
    assert (await auth.log_in(number, secret, address)).account.phone == number


async def test_a_network_that_guesses_at_many_numbers_is_refused(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    await auth.register(number, secret)
    await fill(auth, address, fresh_number(), LIMITS.failures.network)

    assert await refusal(auth.log_in(number, secret, address)) is ErrorCode.CALLER_LIMIT


async def test_refused_attempts_at_one_number_do_not_use_up_the_limit_of_the_network(auth: Auth) -> None:
    victim, number, secret, address = fresh_number(), fresh_number(), fresh_secret(), fresh_address()
    await auth.register(number, secret)
    await fill(auth, address, victim, LIMITS.failures_per_number)

    for _ in range(LIMITS.failures.network):
        assert await refusal(auth.log_in(victim, fresh_secret(), address)) is ErrorCode.CALLER_LIMIT

    assert (await auth.log_in(number, secret, address)).account.phone == number


async def test_correct_passwords_never_use_up_a_limit_on_failures(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    await auth.register(number, secret)

    for _ in range(LIMITS.failures_per_number + 2):
        await auth.log_in(number, secret, address)

    assert await counted(auth, number) == 0


async def test_changing_networks_within_an_ipv6_site_does_not_evade_the_limit(auth: Auth) -> None:
    number, secret = fresh_number(), fresh_secret()
    await auth.register(number, secret)
    site = fresh_address().removesuffix("::1").rpartition(":")[0]
    calls = [auth.log_in(number, fresh_secret(), f"{site}:{network:02x}00::1") for network in range(24)]

    refused = [await refusal(attempt) for attempt in calls]

    assert refused == [ErrorCode.CREDENTIALS_REFUSED] * LIMITS.per_number_in_site + [ErrorCode.CALLER_LIMIT] * 4
    assert (await auth.log_in(number, secret)).account.phone == number


async def test_a_correct_password_is_not_a_failure_when_opening_the_session_fails(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, secret = fresh_number(), fresh_secret()
    await auth.register(number, secret)

    async def fail(*_: object, **__: object) -> None:
        raise ServiceError(ErrorCode.UNAVAILABLE)

    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "open", fail)
        assert await refusal(auth.log_in_once(number, secret)) is ErrorCode.UNAVAILABLE

    assert await counted(auth, number) == 0


async def test_a_refund_that_fails_is_made_later(auth: Auth, postgres_url: str) -> None:
    number = fresh_number()
    buckets = LIMITS.failure_buckets(auth.phones.ref(number), RequestSource(ip_address(fresh_address())))
    async with postgres.pool(postgres_url, auth.settings.auth_database) as pool:
        store = LoginLimitStore(pool)
        checks = [await store.start(number, buckets, None) for _ in range(3)]
        async with auth.database.acquire() as other, other.transaction():
            await other.execute("lock table login_limits in access exclusive mode")
            await store.refund([*checks[0].counted, *checks[1].counted])
        assert await counted(auth, number) == 9

        await store.start(number, buckets, None)

    assert await counted(auth, number) == 6


async def test_limits_can_be_switched_off_for_development(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    await auth.register(number, secret)
    await fill(auth, address, number, LIMITS.failures.network)

    async with serving(auth.settings.model_copy(update={"caller_limits": "off"})) as client:
        user = await client.call(LOG_IN_WITH_PASSWORD, logging_in(number, secret, address))

    assert user.account.phone == number


async def test_limits_are_settings_and_the_allow_list_lifts_those_on_networks(auth: Auth) -> None:
    number, secret, address = fresh_number(), fresh_secret(), fresh_address()
    await auth.register(number, secret)
    stricter = {"caller_failed_logins_per_network": 2, "caller_failed_logins_per_number": 9}
    allowed = stricter | {"caller_allow_list": (ip_network(f"{address}/128"),)}

    async with serving(auth.settings.model_copy(update=stricter)) as client:
        guesses = [logging_in(fresh_number(), fresh_secret(), address) for _ in range(3)]
        refused = [await refusal(client.call(LOG_IN_WITH_PASSWORD, guess)) for guess in guesses]
    async with serving(auth.settings.model_copy(update=allowed)) as client:
        user = await client.call(LOG_IN_WITH_PASSWORD, logging_in(number, secret, address))

    assert refused == [ErrorCode.CREDENTIALS_REFUSED] * 2 + [ErrorCode.CALLER_LIMIT]
    assert user.account.phone == number


async def test_an_attempt_that_is_shed_does_not_count_as_a_failure(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    number, address = fresh_number(), fresh_address()

    async def shed(*_: object) -> None:
        raise ServiceError(ErrorCode.UNAVAILABLE, retry_after=3)

    with monkeypatch.context() as patch:
        patch.setattr(PasswordHasher, "verify", shed)
        for _ in range(LIMITS.failures_per_number + 1):
            assert await refusal(auth.log_in_once(number, fresh_secret(), address)) is ErrorCode.UNAVAILABLE

    assert await refusal(auth.log_in(number, fresh_secret(), address)) is ErrorCode.CREDENTIALS_REFUSED
    assert await auth.actions(number) == ["log_in_with_password.refused"]
