"""The gateway forgets a session in time for a revocation to hold within five seconds."""

from datetime import UTC, datetime
from uuid import UUID

from gateway.sessions import SessionCache
from shared.internal_api.auth import Account, LoggedIn, Resolved

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def session(user_id: int) -> Resolved:
    account = Account(
        user_id=user_id,
        phone="+8613800138000",
        nickname="张三",
        avatar="",
        thumbnail="",
        cover="",
        created_at=NOW,
        updated_at=NOW,
        last_login_at=NOW,
        version=1,
    )
    return Resolved(session_id=UUID(int=user_id), account=account)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_session_is_known_for_four_seconds_after_it_was_vouched_for() -> None:
    clock = Clock()
    cache = SessionCache(clock)
    cache.put("token", session(1), cache.mark())
    clock.seconds = 3.9
    assert cache.get("token") == session(1)
    clock.seconds = 4.1
    assert cache.get("token") is None


def test_a_new_session_makes_the_users_others_ask_again() -> None:
    cache = SessionCache(Clock())
    cache.put("mine", session(1), cache.mark())
    cache.put("yours", session(2), cache.mark())
    cache.remember(LoggedIn(account=session(1).account, session_id=UUID(int=9), token="new"))
    assert cache.get("mine") is None
    assert cache.get("yours") == session(2)
    assert cache.get("new") is not None


def test_an_answer_that_was_asked_for_before_a_revocation_is_not_believed_after_it() -> None:
    cache = SessionCache(Clock())
    asked = cache.mark()
    cache.forget_user(1)
    cache.put("token", session(1), asked)
    assert cache.get("token") is None


def test_four_seconds_count_from_the_question_and_not_from_a_late_answer() -> None:
    clock = Clock()
    cache = SessionCache(clock)
    asked = cache.mark()
    clock.seconds = 3.0
    cache.put("token", session(1), asked)
    assert cache.get("token") is not None
    clock.seconds = 4.0
    assert cache.get("token") is None
