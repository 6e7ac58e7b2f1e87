"""Log-ins with the passwords of the other system, through each contract."""

import asyncio

from rehearsal.old_base import KINDS, OldUser
from rehearsal.scene import Scene, must
from support.app import App
from support.database import Tables
from support.dialect_clients import DIALECT_CLIENTS, WITH_LOG_IN, Environment
from support.native import call
from support.patience import until_answered

USERS_OF_A_KIND = 3
"""How many users of each kind log in."""
WITHOUT_LOG_IN = {name: client for name, client in DIALECT_CLIENTS.items() if client.log_in is None}
TAKEN = {"phone_info": "USER_PHONE_EXIST", "register_page": "1003"}
"""What the contracts without a log-in answer for a number that has an account."""


async def log_in_everywhere(scene: Scene, gateway: str, *, moved: bool = False) -> str:
    """Each kind through each contract, once with a wrong password. ``moved``: some have logged in before."""
    users = [user for kind in KINDS for user in scene.base.of_kind(kind.name, USERS_OF_A_KIND)]
    async with (
        App.connect(gateway, scene.stack.url("sms-service")) as app,
        Tables.connect(scene.stack.addresses["POSTGRES_URL"], scene.stack.environ["PHONE_KEY"]) as tables,
    ):
        environment = Environment(app, tables)
        counts = await asyncio.gather(*(_log_in_user(environment, user, moved=moved) for user in users))
        for name, client in WITHOUT_LOG_IN.items():
            reply = await client.send_registration_code(environment, scene.base.users[0].phone)
            must(TAKEN[name] in reply.body.values(), f"{name}: {reply.body}")
    return f"{sum(counts)} log-ins through {len(WITH_LOG_IN)} contracts; the other {len(WITHOUT_LOG_IN)} know that the numbers are taken"


async def use_old_tokens(scene: Scene) -> str:
    """Each kind with sessions shows that its tokens open them, and that another token opens none."""
    users = [user for kind in KINDS if kind.has_session for user in scene.base.of_kind(kind.name, USERS_OF_A_KIND)]
    async with App.connect(scene.stack.url("gateway"), scene.stack.url("sms-service")) as app:
        for user in users:
            reply = await call(app, "GET", "/v2/me", user.token)
            must(reply.status == 200 and reply.body["user_id"] == user.user_id, reply.body)
            must((await call(app, "GET", "/v2/me", user.token[::-1])).status == 401, "a wrong token opens a session")
    sessions = await scene.value("select count(*) from sessions")
    expected = sum(user.kind.has_session for user in scene.base.users)
    must(sessions == expected, f"{sessions} sessions, not {expected}")
    return f"{sessions} sessions live on; {len(users)} tokens tried"


async def _log_in_user(environment: Environment, user: OldUser, *, moved: bool) -> int:
    """Log in through each contract: first through those that send the md5 only, where a plain text may be needed."""
    kind, succeeded = user.kind, 0
    for contract in sorted(WITH_LOG_IN):
        works = kind.digest is not None and not kind.is_banned
        if contract == "maitian" and kind.needs_plain and not moved:
            works = False
        must(not await _logs_in(environment, contract, user.phone, "a wrong one"), f"{contract}: a wrong password")
        found = await _logs_in(environment, contract, user.phone, user.password)
        must(found is works, f"{contract}, {kind.name}: the log-in {'fails' if works else 'succeeds'}")
        succeeded += found
    return succeeded


async def _logs_in(environment: Environment, contract: str, phone: str, password: str) -> bool:
    log_in = WITH_LOG_IN[contract].log_in
    if log_in is None:
        return False
    reply = await until_answered(lambda: log_in(environment, phone, password))
    return reply.status in {200, 201} and "error_code" not in reply.body
