"""The back end that an app had before, over HTTP: whom auth-service asks for, how, and what becomes of each answer."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from support.auth import Auth, fresh_address, fresh_number, fresh_secret, refusal, registration, serving, settings_for
from support.patience import until_accepted
from support.principals import EveryPrincipal
from support.provider import Provider, ProviderRequest, provider

from auth_service.audit import IMPORTED
from auth_service.settings import AuthSettings
from auth_service.user_source.guarded_source import FAILURES
from shared.errors import ErrorCode, ServiceError
from shared.internal_api.auth import (
    CHANGE_PHONE,
    LOG_IN_WITH_PASSWORD,
    LOOK_UP,
    REGISTER,
    ChangePhone,
    LoggedIn,
    LogInWithPassword,
    LookUp,
)
from shared.internal_api.directory import LOOK_UP_ELSEWHERE, LookUpElsewhere
from shared.internal_api.sms import Purpose
from shared.phone import E164, ref_hex
from shared.webhooks.signature import WebhookKey

SECRET = secrets.token_hex(32)
PASSWORD = "correct horse"
NO_USER = '{"user": null}'


@dataclass
class OldBackEnd:
    """Has ``users``, by number and by name, and answers in their lines; ``trouble`` is what it answers instead."""

    http: Provider
    users: dict[str, str] = field(default_factory=dict)
    trouble: web.Response | None = None

    def has(self, number: E164, **more: Any) -> int:
        """Let it have a user, who is not here. Returns their id."""
        salt, user_id = secrets.token_hex(3), secrets.randbelow(2**46) + 1
        inner = hashlib.md5(PASSWORD.encode()).hexdigest()
        digest = hashlib.md5((inner + salt).encode()).hexdigest()
        password = {"format": "md5(md5(p)+salt)", "digest": digest, "salt": salt}
        line = json.dumps({"id": user_id, "phone": number, "password": password, **more})
        self.users[number] = line
        if "name" in more:
            self.users[more["name"]] = line
        return user_id

    async def respond(self, request: ProviderRequest) -> web.Response:
        if self.trouble is not None:
            return self.trouble
        (value,) = json.loads(request.body).values()
        line = self.users.get(value)
        return web.Response(text=line) if line else web.Response(status=404, text=NO_USER)

    @property
    def questions(self) -> list[dict[str, str]]:
        return [json.loads(request.body) for request in self.http.requests]


@pytest.fixture
async def old() -> AsyncIterator[OldBackEnd]:
    async with provider() as http:
        back_end = OldBackEnd(http)
        http.respond = back_end.respond
        yield back_end


Serve = Callable[..., Awaitable[EveryPrincipal]]


@pytest.fixture
async def serve(auth: Auth, old: OldBackEnd) -> AsyncIterator[Serve]:
    """Starts an auth-service that asks the old back end, with other settings if there are some."""
    async with AsyncExitStack() as stack:

        async def start(**more: Any) -> EveryPrincipal:
            return await stack.enter_async_context(serving(asking(auth, old.http.url, **more)))

        yield start


def asking(auth: Auth, url: str, **more: Any) -> AuthSettings:
    same = auth.settings
    defaults = {"user_source_url": f"{url}/users", "user_source_secret": SECRET, "user_source_seconds": 2.0}
    return settings_for(same.postgres_url, same.amqp_url, same.auth_database, **defaults | more)


def log_in(service: EveryPrincipal, number: E164, password: str = PASSWORD) -> Awaitable[LoggedIn]:
    """Log in, again when the machine is busy."""
    return until_accepted(lambda: log_in_once(service, number, password))


def log_in_once(service: EveryPrincipal, number: E164, password: str = PASSWORD) -> Awaitable[LoggedIn]:
    secret = hashlib.md5(password.encode()).hexdigest()
    request = LogInWithPassword(phone=number, secret=secret, address=fresh_address(), dialect="maitian")
    return service.call(LOG_IN_WITH_PASSWORD, request)


async def is_registered(service: EveryPrincipal, number: E164, address: str | None = None) -> bool:
    """As the gateway finds out."""
    here = await service.call(LOOK_UP, LookUp(phones=[number]))
    if not any(here.elsewhere):
        return here.registered == [True]
    request = LookUpElsewhere(phone=number, address=address or fresh_address())
    return (await service.call(LOOK_UP_ELSEWHERE, request)).registered == [True]


async def failures(auth: Auth, number: E164) -> int:
    """How many counters of failed log-ins of a number are not empty again."""
    name = f"number {ref_hex(auth.phones.ref(number))}%"
    statement = "select count(*) from login_limits where bucket like $1 and full_at > now()"
    return int(await auth.database.fetchval(statement, name))


async def test_a_user_of_the_old_back_end_logs_in_and_is_here_from_then_on(
    auth: Auth, old: OldBackEnd, serve: Serve
) -> None:
    service, number = await serve(), fresh_number()
    user_id = old.has(number, nickname="Ada")

    first = await log_in(service, number)
    second = await log_in(service, number)

    assert {each.account.user_id for each in (first, second)} == {user_id}
    assert first.account.nickname == "Ada"
    assert old.questions == [{"phone": number}]
    assert await failures(auth, number) == 0
    assert await auth.actions(number) == [IMPORTED, *["log_in_with_password.succeeded"] * 2]
    entry = await auth.database.fetchrow(
        "select actor, reason from audit_log where user_id = $1 and action = $2", user_id, IMPORTED
    )
    assert entry is not None
    assert tuple(entry) == ("hook", "USER_SOURCE_URL")
    (moved, *_) = await auth.listener.of_user(user_id, 1, "auth.user.updated")
    assert moved["data"]["dialect"] == "import"


async def test_a_question_is_signed_and_has_the_number_and_nothing_else(old: OldBackEnd, serve: Serve) -> None:
    service, number = await serve(), fresh_number()
    assert await refusal(log_in(service, number, "a wrong password")) is ErrorCode.CREDENTIALS_REFUSED

    (request,) = old.http.requests
    assert (request.method, request.path, request.headers["Content-Type"]) == ("POST", "/users", "application/json")
    assert json.loads(request.body) == {"phone": number}
    assert WebhookKey(SECRET).verifies(request.headers, request.body)
    assert not WebhookKey("another" * 6).verifies(request.headers, request.body)


async def test_a_wrong_password_of_a_user_who_just_moved_in_is_refused_and_counts_once(
    auth: Auth, old: OldBackEnd, serve: Serve
) -> None:
    service, number = await serve(caller_failed_logins_per_number=2), fresh_number()
    old.has(number)
    address = fresh_address()

    def attempt() -> Awaitable[LoggedIn]:
        request = LogInWithPassword(phone=number, secret=fresh_secret(), address=address, dialect="maitian")
        return until_accepted(lambda: service.call(LOG_IN_WITH_PASSWORD, request))

    assert [await refusal(attempt()) for _ in range(3)] == [
        ErrorCode.CREDENTIALS_REFUSED, ErrorCode.CREDENTIALS_REFUSED, ErrorCode.CALLER_LIMIT,
    ]  # fmt: skip
    assert await auth.actions(number) == [
        IMPORTED, *["log_in_with_password.refused"] * 2, "log_in_with_password.limited",
    ]  # fmt: skip


async def test_beyond_the_limits_on_log_ins_no_one_is_asked_for(old: OldBackEnd, serve: Serve) -> None:
    service, number = await serve(caller_failed_logins_per_number=1, user_source_absent_seconds=1), fresh_number()
    address = fresh_address()
    request = LogInWithPassword(phone=number, secret=fresh_secret(), address=address, dialect="maitian")
    assert await refusal(service.call(LOG_IN_WITH_PASSWORD, request)) is ErrorCode.CREDENTIALS_REFUSED
    assert await refusal(service.call(LOG_IN_WITH_PASSWORD, request)) is ErrorCode.CALLER_LIMIT
    assert len(old.questions) == 1


async def test_a_look_up_finds_a_user_of_the_old_back_end(old: OldBackEnd, serve: Serve) -> None:
    service, number, free = await serve(), fresh_number(), fresh_number()
    old.has(number)
    assert [await is_registered(service, each) for each in (number, free)] == [True, False]
    assert (await service.call(LOOK_UP, LookUp(phones=[number, free]))).elsewhere == [False, True]


async def test_who_does_not_exist_is_asked_for_once_by_all_replicas_together_and_no_number_is_stored(
    auth: Auth, old: OldBackEnd, serve: Serve
) -> None:
    services, number = [await serve() for _ in range(2)], fresh_number()
    for service in services * 2:
        assert not await is_registered(service, number)
        assert await refusal(log_in(service, number)) is ErrorCode.CREDENTIALS_REFUSED
    assert old.questions == [{"phone": number}]
    rows = await auth.database.fetch("select * from absent_users")
    assert rows
    assert number.lstrip("+") not in str([dict(row) for row in rows])
    assert {len(row["mark"]) for row in rows} == {16}

    await services[0].call(REGISTER, registration(auth.ticket(number), fresh_secret()))
    assert await is_registered(services[1], number)
    assert len(old.questions) == 1


async def test_after_a_while_who_did_not_exist_is_asked_for_again(auth: Auth, old: OldBackEnd, serve: Serve) -> None:
    service, number = await serve(), fresh_number()
    assert not await is_registered(service, number)
    old.has(number)
    assert not await is_registered(service, number)
    await auth.database.execute("update absent_users set expires_at = now() - interval '1 second'")
    assert await is_registered(service, number)


async def test_many_callers_at_once_are_one_question_of_each_replica_and_one_account(
    auth: Auth, old: OldBackEnd, serve: Serve
) -> None:
    services, number = [await serve() for _ in range(2)], fresh_number()
    user_id = old.has(number)

    found = await asyncio.gather(*(is_registered(service, number) for service in services * 10))

    assert found == [True] * 20
    assert 1 <= len(old.questions) <= 2
    assert await auth.actions(number) == [IMPORTED]
    assert await auth.database.fetchval("select user_id from accounts where phone = $1", number) == user_id


async def test_no_one_registers_a_number_or_a_name_of_the_old_back_end(
    auth: Auth, old: OldBackEnd, serve: Serve
) -> None:
    service, number, free = await serve(), fresh_number(), fresh_number()
    name = f"Ada {number}"
    old.has(number, name=name)

    def register(phone: E164, secret: str | None, wanted: str | None = None) -> Awaitable[LoggedIn]:
        return service.call(REGISTER, registration(auth.ticket(phone), secret, name=wanted))

    assert await refusal(register(free, fresh_secret(), name)) is ErrorCode.NAME_TAKEN
    assert await auth.actions(number) == []
    assert await refusal(register(number, None)) is ErrorCode.NUMBER_TAKEN
    assert await refusal(register(number, fresh_secret())) is ErrorCode.NUMBER_TAKEN
    assert (await register(free, fresh_secret(), f"{name} 2")).account.phone == free


async def test_no_one_changes_to_a_number_of_the_old_back_end(auth: Auth, old: OldBackEnd, serve: Serve) -> None:
    service, before, after = await serve(), fresh_number(), fresh_number()
    user = await auth.register(before, fresh_secret())
    old.has(after)

    request = ChangePhone(
        user_id=user.account.user_id,
        session_id=user.session_id,
        old_ticket=auth.ticket(before, Purpose.CHANGE_PHONE),
        new_ticket=auth.ticket(after, Purpose.CHANGE_PHONE),
        address=fresh_address(),
        dialect="native",
    )
    assert await refusal(service.call(CHANGE_PHONE, request)) is ErrorCode.NUMBER_TAKEN


async def test_who_erased_their_account_does_not_come_back_and_their_number_is_free(
    auth: Auth, old: OldBackEnd, serve: Serve
) -> None:
    service, number = await serve(), fresh_number()
    user_id = old.has(number)
    await log_in(service, number)
    await auth.erase(user_id)

    assert not await is_registered(service, number)
    assert await refusal(log_in(service, number)) is ErrorCode.CREDENTIALS_REFUSED
    new = await service.call(REGISTER, registration(auth.ticket(number), fresh_secret()))
    assert new.account.user_id != user_id


TROUBLES = {
    "a failure": lambda: web.Response(status=500),
    "a refused signature": lambda: web.Response(status=401),
    "a page of a proxy": lambda: web.Response(status=404, text="<h1>404 Not Found</h1>"),
    "a 404 of a wrong URL": lambda: web.Response(status=404, text='{"detail": "Not Found"}'),
    "no content": lambda: web.Response(status=204),
    "something too large": lambda: web.Response(text="x" * 1_000_000),
    "no user": lambda: web.Response(text="{}"),
}


@pytest.mark.parametrize("kind", TROUBLES)
async def test_trouble_is_an_outage_for_numbers_without_an_account_and_for_no_one_else(
    auth: Auth, old: OldBackEnd, serve: Serve, kind: str
) -> None:
    service, number, known, secret = await serve(), fresh_number(), fresh_number(), fresh_secret()
    old.has(number)
    await auth.register(known, secret)
    old.trouble = TROUBLES[kind]()
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: is_registered(service, number),
        lambda: service.call(REGISTER, registration(auth.ticket(number), fresh_secret())),
        lambda: log_in_once(service, number),
    ]
    for call in calls:
        old.trouble = TROUBLES[kind]()
        assert await refusal(call()) is ErrorCode.UNAVAILABLE
    assert await failures(auth, number) == 0
    assert await is_registered(service, known)
    request = LogInWithPassword(phone=known, secret=secret, address=fresh_address(), dialect="maitian")
    assert (await service.call(LOG_IN_WITH_PASSWORD, request)).account.phone == known

    old.trouble = None
    assert (await log_in(service, number)).account.phone == number


async def test_a_redirect_leads_nowhere(old: OldBackEnd, serve: Serve) -> None:
    service, number = await serve(), fresh_number()
    async with provider(status=200, body=json.dumps({"id": 1, "phone": number})) as other:
        old.trouble = web.Response(status=307, headers={"Location": f"{other.url}/users"})
        assert await refusal(is_registered(service, number)) is ErrorCode.UNAVAILABLE
        assert other.requests == []


async def test_a_source_that_never_answers_is_an_outage_within_its_deadline_and_soon_no_longer_asked(
    old: OldBackEnd, serve: Serve
) -> None:
    service = await serve(user_source_seconds=0.2)
    old.http.silent = True

    async def look_up() -> int | None:
        with pytest.raises(ServiceError) as refused:
            await is_registered(service, fresh_number())
        assert refused.value.code is ErrorCode.UNAVAILABLE
        return refused.value.retry_after

    async with asyncio.timeout(30):
        for _ in range(FAILURES):
            assert await look_up() == 1
        waits = [await look_up() for _ in range(5)]
    assert len(old.http.requests) == FAILURES
    assert all(wait and wait > 1 for wait in waits)


async def test_a_server_that_is_not_there_or_hangs_up_is_an_outage(auth: Auth, old: OldBackEnd, serve: Serve) -> None:
    old.http.cut = True
    assert await refusal(is_registered(await serve(), fresh_number())) is ErrorCode.UNAVAILABLE
    async with serving(asking(auth, "http://127.0.0.1:1")) as service:
        assert await refusal(is_registered(service, fresh_number())) is ErrorCode.UNAVAILABLE


async def test_a_network_has_so_many_look_ups_in_the_old_back_end(old: OldBackEnd, serve: Serve) -> None:
    service, address = await serve(caller_logins_per_network_hour=60), fresh_address()
    numbers = [fresh_number() for _ in range(4)]
    assert [await is_registered(service, number, address) for number in numbers[:3]] == [False] * 3
    assert await refusal(is_registered(service, numbers[3], address)) is ErrorCode.CALLER_LIMIT
    assert not await is_registered(service, numbers[3])
    assert len(old.questions) == 4


async def test_beyond_its_rate_a_process_asks_no_more(old: OldBackEnd, serve: Serve) -> None:
    service = await serve(user_source_per_second=2)
    outcomes = await asyncio.gather(
        *(is_registered(service, fresh_number()) for _ in range(20)), return_exceptions=True
    )
    refused = [each for each in outcomes if isinstance(each, ServiceError)]
    assert {each.code for each in refused} == {ErrorCode.UNAVAILABLE}
    assert len(old.questions) == 20 - len(refused) < 20


async def test_with_a_time_to_hold_known_numbers_are_looked_up_there_too_and_are_not_asked_for(
    auth: Auth, old: OldBackEnd, serve: Serve
) -> None:
    service, known = await serve(user_source_look_up_seconds=0.01), fresh_number()
    await auth.register(known, fresh_secret())
    assert (await service.call(LOOK_UP, LookUp(phones=[known]))).elsewhere == [True]
    assert await is_registered(service, known)
    assert old.questions == []


async def test_without_a_user_source_no_number_is_elsewhere(auth: Auth) -> None:
    number = fresh_number()
    assert (await auth.call(LOOK_UP, LookUp(phones=[number]))).elsewhere == []
    assert await refusal(auth.log_in(number, fresh_secret())) is ErrorCode.CREDENTIALS_REFUSED
    request = LookUpElsewhere(phone=number, address=fresh_address())
    assert (await auth.call(LOOK_UP_ELSEWHERE, request)).registered == [False]
