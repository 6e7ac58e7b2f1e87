"""What the settings of auth-service promise about log-ins with a password."""

from auth_service.passwords.failure_store import START_CHECK
from auth_service.policy import WINDOW, lines
from auth_service.settings import AuthSettings
from shared.process.policy import PolicyLine

SERVERS = {"POSTGRES_URL": "postgresql://localhost/", "AMQP_URL": "amqp://localhost/"}


def promises(**environ: str) -> dict[str, PolicyLine]:
    settings = AuthSettings.from_env({"ENVIRONMENT": "development", **SERVERS, **environ})
    return {line.name: line for line in lines(settings)}


def test_the_promises_follow_from_the_settings() -> None:
    found = promises(CALLER_FAILED_LOGINS_PER_NUMBER="7", CALLER_FAILED_LOGINS_PER_NETWORK="99")
    assert found["guess.password.network"].at_most == 7 * 97
    assert found["keep-out.log-in.neighbour"].cost == "7 failed log-ins from that network"
    assert found["keep-out.log-in.everybody"].cost == "99 failed log-ins from that network"
    assert found["keep-out.log-in.owner"].at_most == 0


def test_without_limits_on_callers_guesses_are_free_and_no_one_is_shut_out() -> None:
    found = promises(CALLER_LIMITS="off")
    assert found["guess.password.network"].at_most is None
    assert found["keep-out.log-in.neighbour"].at_most == 0


def test_the_window_is_the_one_of_the_statement_that_counts() -> None:
    assert f"interval '{WINDOW.total_seconds() / 60:g} minutes'" in START_CHECK.text
