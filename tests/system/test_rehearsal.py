"""``make rehearsal`` in its short form: every step of a move on a system of its own."""

import pytest
from rehearsal.__main__ import ENVIRON, rehearse, table
from rehearsal.old_base import OldBase
from rehearsal.scene import Scene
from rehearsal.steps import STEPS
from stack.system import Stack

USERS = 500


@pytest.mark.timeout(400)
async def test_a_base_moves_in_logs_in_moves_out_and_moves_into_another_system() -> None:
    shown: list[str] = []
    with Stack.private(environ=ENVIRON) as stack:
        stack.start()
        done = await rehearse(Scene(stack, OldBase(USERS), stack.folder.path, shows_progress=False), shown.append)

    assert [step.name for step in done] == [step.name for step in STEPS]
    assert len(shown) == 2 * len(STEPS)
    assert all(f"| {step.name} |" in table(done) for step in STEPS)
    assert "500 users" in done[2].result
