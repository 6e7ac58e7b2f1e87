"""What the policy promises holds against attacks, on real servers and processes. ``make drill`` tries far more."""

from collections.abc import AsyncIterator

import pytest
from drill.attacks import ROWS
from drill.measures import Outcome, Row, promise
from drill.target import SHORT, Target, attacked
from stack.commands.policy import table
from stack.system import Stack


@pytest.fixture(scope="module")
async def target(system: Stack) -> AsyncIterator[Target]:
    async with attacked(system, SHORT, lambda _: None) as target:
        yield target


@pytest.mark.timeout(180)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_no_attack_gets_more_than_the_policy_promises(target: Target, row: Row) -> None:
    outcome = Outcome(promise(target.policy, row.name), await row.attack(target))
    assert outcome.holds, outcome


async def test_people_read_the_policies_of_all_services_in_one_table(target: Target, system: Stack) -> None:
    shown = " ".join(table(target.policy, system.environ).split())
    for text in (
        "a chance of 0.001 %",
        "(maitian, native): 117 numbers",
        "an owner gets 3 codes a day",
        "Keep a victim",
    ):
        assert text in shown


async def test_every_promise_of_a_figure_has_an_attack_that_tries_it(target: Target) -> None:
    untried = {line["name"] for line in target.policy if line["at_most"] is not None} - {row.name for row in ROWS}
    assert untried == {"learn.look-ups.site", "spend.site", "keep-out.log-in.owner"}
