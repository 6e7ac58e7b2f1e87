"""What the settings of auth-service promise about log-ins with a password."""

from auth_service.policy.log_ins import lines
from auth_service.settings import AuthSettings
from shared.policy.lines import PolicyLine

SERVERS = {"POSTGRES_URL": "postgresql://localhost/", "AMQP_URL": "amqp://localhost/"}


def promises(**environ: str) -> dict[str, PolicyLine]:
    settings = AuthSettings.from_env({"ENVIRONMENT": "development", **SERVERS, **environ})
    return {line.name: line for line in lines(settings)}


def test_the_promises_follow_from_the_settings() -> None:
    found = promises(
        CALLER_FAILED_LOGINS_PER_NUMBER="9",
        CALLER_FAILED_LOGINS_PER_NETWORK="99",
        CALLER_FAILED_LOGINS_PER_NUMBER_DAY="20",
    )
    assert found["guess.password.neighbour"].at_most == 9 + 24 * 36
    assert found["guess.password.neighbour"].note == "9 at once, and one more every 100 s"
    assert found["guess.password.strangers"].at_most == 40
    assert found["guess.password.strangers"].note == "20 at once, and one more every 72 minutes"
    assert found["keep-out.log-in.neighbour"].at_most == 100
    assert found["keep-out.log-in.neighbour"].cost == "9 failed log-ins from that network"
    assert "after 99 failed log-ins" in found["keep-out.log-in.everybody"].note
    assert found["keep-out.log-in.owner"].at_most == 0
    assert found["keep-out.code.intruder"].at_most == 0


def test_without_limits_on_callers_guesses_are_free_and_no_one_is_shut_out() -> None:
    found = promises(CALLER_LIMITS="off")
    assert found["guess.password.neighbour"].at_most is None
    assert found["guess.password.strangers"].at_most is None
    assert found["keep-out.log-in.neighbour"].at_most == 0
