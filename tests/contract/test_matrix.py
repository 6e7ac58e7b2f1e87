"""One core behind every contract: whoever came in through one of them gets on in every other."""

import pytest
from support.app import App, fresh_number
from support.database import Tables
from support.dialect_clients import LOG_INS, RESETS, SPEAKERS, Speaker, World

from gateway.dialect_registry import installed_dialects

PASSWORD, CHANGED = "secret123", "changed123"


@pytest.fixture
def world(app: App, tables: Tables) -> World:
    return World(app, tables)


async def sign_up(world: World, number: str, asker: Speaker, registrar: Speaker) -> int | None:
    """Register with a code that ``asker`` had sent; the user's id, where the answer tells it."""
    asked = await asker.ask_sign_up(world, number)
    assert asked.status < 300, asked.body
    answer = await registrar.register(world, number, PASSWORD, await world.app.code(number))
    assert answer.status < 300, answer.body
    return registrar.user_of(answer.body)


async def log_in_everywhere(world: World, number: str, password: str) -> int:
    """Log in through each dialect that has a log-in; all of them know one user."""
    users = set()
    for name, speaker in LOG_INS.items():
        assert speaker.log_in is not None
        answer = await speaker.log_in(world, number, password)
        assert answer.status < 300, (name, answer.body)
        users.add(speaker.user_of(answer.body))
    (user,) = users
    assert user is not None
    return user


def test_every_dialect_has_a_speaker() -> None:
    assert set(SPEAKERS) == {dialect.name for dialect in installed_dialects()}


@pytest.mark.parametrize("registrar", SPEAKERS)
@pytest.mark.parametrize("asker", SPEAKERS)
async def test_a_code_asked_for_in_one_registers_in_another_and_logs_in_everywhere(
    world: World, asker: str, registrar: str
) -> None:
    number = fresh_number()

    made = await sign_up(world, number, SPEAKERS[asker], SPEAKERS[registrar])

    assert await log_in_everywhere(world, number, PASSWORD) == made or made is None


@pytest.mark.parametrize("resetter", RESETS)
@pytest.mark.parametrize("asker", RESETS)
@pytest.mark.parametrize("registrar", SPEAKERS)
async def test_whoever_registered_in_one_resets_in_another_with_a_code_of_a_third(
    world: World, registrar: str, asker: str, resetter: str
) -> None:
    ask, reset = RESETS[asker].ask_reset, RESETS[resetter].reset
    assert ask is not None
    assert reset is not None
    number = fresh_number()
    await sign_up(world, number, SPEAKERS[registrar], SPEAKERS[registrar])
    await world.pause(number)

    assert (await ask(world, number)).status < 300
    changed = await reset(world, number, CHANGED, await world.app.code(number))

    user = await log_in_everywhere(world, number, CHANGED)
    assert RESETS[resetter].user_of(changed.body) in {user, None}
    for speaker in LOG_INS.values():
        assert speaker.log_in is not None
        refused = (await speaker.log_in(world, number, PASSWORD)).body
        with pytest.raises(LookupError):
            speaker.user_of(refused)


@pytest.mark.parametrize("registrar", SPEAKERS)
async def test_a_registration_whose_answer_was_lost_succeeds_again(world: World, registrar: str) -> None:
    number, speaker = fresh_number(), SPEAKERS[registrar]
    assert (await speaker.ask_sign_up(world, number)).status < 300
    code = await world.app.code(number)

    answers = [await speaker.register(world, number, PASSWORD, code) for _ in range(3)]

    assert {answer.status < 300 for answer in answers} == {True}
    assert len({speaker.user_of(answer.body) for answer in answers}) == 1
    await log_in_everywhere(world, number, PASSWORD)


@pytest.mark.parametrize("resetter", RESETS)
async def test_a_reset_whose_answer_was_lost_succeeds_again(world: World, resetter: str) -> None:
    ask, reset = RESETS[resetter].ask_reset, RESETS[resetter].reset
    assert ask is not None
    assert reset is not None
    number = fresh_number()
    made = await sign_up(world, number, SPEAKERS["maitian"], SPEAKERS["maitian"])
    await world.pause(number)
    assert (await ask(world, number)).status < 300
    code = await world.app.code(number)

    answers = [await reset(world, number, CHANGED, code) for _ in range(3)]

    assert {answer.status < 300 for answer in answers} == {True}
    assert await log_in_everywhere(world, number, CHANGED) == made
