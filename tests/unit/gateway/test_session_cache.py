"""The gateway forgets a session soon enough: an ended session stops working within five seconds."""

from uuid import UUID

from support.accounts import account

from gateway.flows.session_cache import Session, SessionCache
from shared.internal_api.auth import LoggedIn


def session(user_id: int) -> Session:
    return Session(session_id=UUID(int=user_id), account=account(user_id=user_id))


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_session_is_cached_for_four_seconds() -> None:
    clock = Clock()
    cache = SessionCache(clock)
    cache.put("token", session(1), cache.mark())
    clock.seconds = 3.9
    assert cache.get("token") == session(1)
    clock.seconds = 4.1
    assert cache.get("token") is None


def test_a_new_session_forgets_the_users_other_sessions() -> None:
    cache = SessionCache(Clock())
    cache.put("mine", session(1), cache.mark())
    cache.put("yours", session(2), cache.mark())
    cache.remember(LoggedIn(account=session(1).account, session_id=UUID(int=9), token="new"))
    assert cache.get("mine") is None
    assert cache.get("yours") == session(2)
    assert cache.get("new") is not None


def test_a_response_to_a_call_made_before_a_revocation_is_not_used_after_it() -> None:
    cache = SessionCache(Clock())
    mark = cache.mark()
    cache.forget_user(1)
    cache.put("token", session(1), mark)
    assert cache.get("token") is None


def test_the_four_seconds_count_from_the_call_and_not_from_a_late_response() -> None:
    clock = Clock()
    cache = SessionCache(clock)
    mark = cache.mark()
    clock.seconds = 3.0
    cache.put("token", session(1), mark)
    assert cache.get("token") is not None
    clock.seconds = 4.0
    assert cache.get("token") is None
