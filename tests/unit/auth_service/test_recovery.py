"""What follows a restored backup: everything that may have ended since ends, in batches, and it is recorded last."""

from auth_service.recovery.recovery import BATCH, VERSION_JUMP, Recovered, Recovery


class Memory:
    """A restored database: open sessions, and the versions of accounts."""

    def __init__(self, sessions: int, versions: dict[int, int]) -> None:
        self.sessions = sessions
        self.versions = versions
        self.steps: list[str] = []

    async def refuse_tickets(self) -> None:
        self.steps.append("tickets")

    async def end_sessions(self, limit: int) -> int:
        ended = min(limit, self.sessions)
        self.sessions -= ended
        return ended

    async def renew_accounts(self, after: int, limit: int, jump: int) -> list[int]:
        chosen = sorted(user_id for user_id in self.versions if user_id > after)[:limit]
        self.versions |= {user_id: self.versions[user_id] + jump for user_id in chosen}
        return chosen

    async def record(self, sessions: int, accounts: int) -> None:
        self.steps.append(f"recorded {sessions} and {accounts}")


async def test_every_session_ends_and_every_version_rises_once() -> None:
    memory = Memory(2 * BATCH + 1, dict.fromkeys(range(1, BATCH + 2), 7))

    assert await Recovery(memory).run() == Recovered(2 * BATCH + 1, BATCH + 1)

    assert memory.sessions == 0
    assert set(memory.versions.values()) == {7 + VERSION_JUMP}
    assert memory.steps == ["tickets", f"recorded {2 * BATCH + 1} and {BATCH + 1}"]


async def test_an_empty_database_is_recorded_too() -> None:
    memory = Memory(0, {})
    assert await Recovery(memory).run() == Recovered(0, 0)
    assert memory.steps == ["tickets", "recorded 0 and 0"]
