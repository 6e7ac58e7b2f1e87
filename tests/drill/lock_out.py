"""Attacks on the owner of a number with an account, who wants a code, a reset or a log-in."""

import asyncio
import itertools
from collections import Counter

from drill.callers import NETWORKS, PASSWORD, Caller, registered, strangers, tel
from drill.measures import Measured
from drill.target import COOLDOWN, HOUR, Target
from support.app import fresh_number, md5

AT_ONCE = 4
"""How many owners are attacked at once."""
ROUNDS = 4
"""In 24 hours, so that an owner needs four codes a day: what strangers leave of ten."""
EXTRA_SEND = 12 * 60 + 1
"""Seconds after which a number that seems to have no account gets a code for one more network."""
SENDS_A_DAY = 10
OWNERS = 5
"""Who share an address."""
DAY = 24 * HOUR


async def keep_from_everything(target: Target) -> Measured:
    """Ten networks use up what they can, in every dialect. Owners use codes, resets and log-ins in between."""
    ended: Counter[bool] = Counter()
    for first in range(0, target.size.victims, AT_ONCE):
        count = min(AT_ONCE, target.size.victims - first)
        for tries in await asyncio.gather(*(_day_of_an_owner(target) for _ in range(count))):
            ended.update(tries)
        refused = f"{ended[False]} of {ended.total()} tries refused"
        target.progress(f"{first + count} of {target.size.victims} owners, {refused}")
    return Measured(
        ended[False], f"{ended.total():,} tries of {target.size.victims} owners, {NETWORKS} networks, a day"
    )


async def _day_of_an_owner(target: Target) -> list[bool]:
    """Whether each try of an owner succeeds."""
    number, owner = await registered(target)
    hostile, tries = strangers(target), list[bool]()
    for use in USES:
        await use_up(target, number, hostile)
        tries += await use(target, number, owner, hostile)
        tries.append((await owner.log_in(number)).status == 200)
        await target.age(number, DAY // ROUNDS)
    return tries


async def use_up(target: Target, number: str, hostile: list[Caller]) -> None:
    """Use up all that strangers can: sends, tries at codes, and log-ins. ``tel`` counts its own sends: first there."""
    requests = itertools.cycle(
        (("tel", "resetPassword"), ("tel", "resetPassword"), ("", "reset_password"), ("", "sign_in"))
    )
    for stranger, (dialect, purpose) in zip(hostile, requests, strict=False):
        ask = stranger.ask_tel if dialect else stranger.ask
        sent = await ask(number, purpose)
        if sent.status in {200, 202}:
            await target.app.code(number)
            await target.age(number, COOLDOWN)
        await stranger.guess(number, "sign_in" if purpose == "sign_in" else "reset_password")
        for _ in range(2):
            wrong_login = {"tel": tel(number), "password": "a wrong guess"}
            assert (await stranger.call("POST", "/users/signin", wrong_login)).status == 403


async def log_in_with_code(target: Target, number: str, owner: Caller, hostile: list[Caller]) -> list[bool]:
    """The owner logs in with a code of ``native``."""
    sent = await owner.ask(number, "sign_in")
    code = await target.app.code(number) if sent.status == 202 else "000000"
    for stranger in hostile:
        await stranger.guess(number, "sign_in", tries=1)
    checked = await owner.check(number, "sign_in", code)
    logged_in = await owner.call("POST", "/v2/sessions", {"ticket": checked.body.get("ticket", "")})
    return [sent.status == 202, checked.status == 200 and logged_in.status == 200]


async def reset_in_maitian(target: Target, number: str, owner: Caller, hostile: list[Caller]) -> list[bool]:
    sent = await owner.call("POST", "/v1/user/forgot_password.json", {"source": "app", "phone_number": number})
    code = await target.app.code(number) if "error_code" not in sent.body else "000000"
    for stranger in hostile:
        await stranger.guess(number, "reset_password", tries=1)
    fields = {"source": "app", "phone_number": number, "verify_code": code, "password": md5(PASSWORD)}
    reset = await owner.call("POST", "/v1/user/reset_password.json", fields)
    return ["error_code" not in sent.body, "error_code" not in reset.body]


async def reset_in_tel(target: Target, number: str, owner: Caller, hostile: list[Caller]) -> list[bool]:
    sent = await owner.ask_tel(number, "resetPassword")
    code = await target.app.code(number) if sent.status == 200 else "000000"
    for stranger in hostile:
        await stranger.guess(number, "reset_password", tries=1)
    fields = {"tel": tel(number), "password": PASSWORD, "captcha": code}
    reset = await owner.call("PUT", "/users/password", fields)
    return [sent.status == 200, reset.status == 200]


USES = (log_in_with_code, reset_in_maitian, reset_in_tel, log_in_with_code)


async def end_a_code(target: Target) -> Measured:
    """Ten networks enter incorrect codes while an owner has a live one."""
    refused = 0
    for _ in range(target.size.codes):
        number, owner = await registered(target)
        assert (await owner.ask(number, "sign_in")).status == 202
        code = await target.app.code(number)
        for stranger in strangers(target):
            await stranger.guess(number, "sign_in")
        refused += (await owner.check(number, "sign_in", code)).status != 200
    return Measured(refused, f"{target.size.codes} live codes, 60 incorrect tries at each")


async def hold_in_cooldown(target: Target) -> Measured:
    """Ten networks request codes for a day, so that the owner is in the cooldown as often as possible."""
    by_resets, by_registrations = await _hold_by_resets(target), await _hold_by_registrations(target)
    tries = f"{by_resets.tries}; disclosed after proof: {by_registrations.tries}"
    return Measured(max(by_resets.figure, by_registrations.figure), tries)


async def _hold_by_registrations(target: Target) -> Measured:
    """They register the number. A gateway that discloses accounts only after proof answers as if it had no account."""
    number, owner = await registered(target)
    await target.age(number, DAY)
    accepted = cooldowns = 0
    for stranger in [Caller(target.discreet_app) for _ in range(2 * NETWORKS)]:
        if (await stranger.ask(number, "sign_up")).status == 202:
            accepted += 1
            reply = await owner.ask(number, "sign_in")
            cooldowns += reply.status == 429 and reply.body["code"] == "cooldown"
            await target.age(number, EXTRA_SEND)
    return Measured(
        (COOLDOWN - 1) * cooldowns, f"{accepted} registrations accepted, {cooldowns} cooldowns of the owner"
    )


async def _hold_by_resets(target: Target) -> Measured:
    number, _ = await registered(target)
    await target.age(number, DAY)
    hostile, sends, requests = strangers(target), 0, 0
    for stranger in hostile * target.size.steps:
        requests += 1
        if (await stranger.ask(number, "reset_password")).status == 202:
            sends += 1
            await target.age(number, COOLDOWN)
        if requests % NETWORKS == 0:
            await target.age(number, DAY // target.size.steps - NETWORKS * COOLDOWN)
    return Measured((COOLDOWN - 1) * sends, f"{requests} requests of {NETWORKS} networks in a day, {sends} sent")


async def keep_out_as_intruder(target: Target) -> Measured:
    """Someone logs in with a stolen password. The owner sets a new one. The other uses up what known callers have."""
    number, owner = await registered(target)
    intruder = Caller(target.app)
    assert (await intruder.log_in(number)).status == 200
    assert (await owner.ask(number, "reset_password")).status == 202
    checked = await owner.check(number, "reset_password", await target.app.code(number))
    reset = await owner.call("PUT", "/v2/password", {"ticket": checked.body["ticket"], "password": "a new password"})
    assert reset.status == 200, reset.body
    await target.age(number, DAY)
    sent = 0
    for _ in range(SENDS_A_DAY):
        if (await intruder.ask(number, "sign_in")).status == 202:
            sent += 1
            await target.app.code(number)
            await intruder.guess(number, "sign_in", tries=5)
        await target.age(number, COOLDOWN)
    is_refused = not await _logs_in(target, number, owner)
    return Measured(is_refused, f"{SENDS_A_DAY} requests from the intruder's network, {sent} sent")


async def keep_out_with_session(target: Target) -> Measured:
    """Someone elsewhere uses up what a stolen session and strangers can: sends, and tries at a live code."""
    number, owner = await registered(target)
    thief = Caller(target.app, token=(await owner.log_in(number)).body["access_token"])
    await target.age(number, DAY)
    sent = 0
    for stranger in [thief] * SENDS_A_DAY + strangers(target):
        if (await stranger.ask(number, "sign_in")).status == 202:
            sent += 1
            await target.app.code(number)
            await target.age(number, COOLDOWN)
        await stranger.guess(number, "sign_in", tries=5)
    refused = not await _logs_in(target, number, owner, tries_of=thief)
    return Measured(refused, f"{SENDS_A_DAY + NETWORKS} requests, {sent} sent, half of them with the session")


async def keep_out_as_neighbour(target: Target) -> Measured:
    """A caller in the owner's own network uses up what known callers have: incorrect tries at two codes."""
    number, owner = await registered(target)
    await target.age(number, DAY)
    neighbour = owner.neighbour
    for _ in range(2):
        assert (await neighbour.ask(number, "sign_in")).status == 202
        await neighbour.guess(number, "sign_in", tries=5)
        await target.app.code(number)
        await target.age(number, COOLDOWN)
    seconds = 0
    while not await _logs_in(target, number, owner):
        await target.age(number, DAY - 2 * COOLDOWN)  # the rest of a day since the attack began
        seconds += DAY
    return Measured(seconds, "12 requests within 60 s from the owner's network")


async def keep_everybody_out(target: Target) -> Measured:
    """A stranger behind the address of some owners requests codes until it is told to wait. The owners want codes."""
    shared = Caller(target.app)
    owners = [(await registered(target, shared))[0] for _ in range(OWNERS)]
    requests = 0
    while (await shared.ask(fresh_number(), "sign_up")).status == 202:
        requests += 1
    refused = [number for number in owners if not await _logs_in(target, number, shared)]
    return Measured(
        len(refused), f"{requests} requests from the address of {OWNERS} owners, who then log in with a code"
    )


async def _logs_in(target: Target, number: str, owner: Caller, tries_of: Caller | None = None) -> bool:
    """Whether an owner gets a code and can enter it, after incorrect tries of someone else."""
    if (await owner.ask(number, "sign_in")).status != 202:
        return False
    code = await target.app.code(number)
    if tries_of is not None:
        await tries_of.guess(number, "sign_in")
    return (await owner.check(number, "sign_in", code)).status == 200
