"""What the settings of contacts-service promise about contact look-ups."""

from contacts_service.policy.look_ups import lines
from contacts_service.settings import ContactsSettings
from shared.policy.lines import PolicyLine

SERVERS = {
    "POSTGRES_URL": "postgresql://localhost/",
    "REDIS_URL": "redis://localhost/",
    "AMQP_URL": "amqp://localhost/",
}


def promises(**environ: str) -> dict[str, PolicyLine]:
    settings = ContactsSettings.from_env({"ENVIRONMENT": "development", **SERVERS, **environ})
    return {line.name: line for line in lines(settings)}


def test_an_account_learns_its_budget_what_a_day_adds_and_what_passes_as_known() -> None:
    found = promises(CONTACTS_BUDGET="1000", CONTACTS_BUDGET_PER_HOUR="10", CONTACTS_CALLS_PER_MINUTE="50")
    assert found["learn.contacts.account"].at_most == 1000 + 24 * 10 + 72


def test_after_the_budget_one_in_a_thousand_passes_for_each_account() -> None:
    found = promises()
    assert found["learn.contacts.after-budget"].at_most == 10
    assert found["learn.contacts.accounts"].at_most == 60


def test_without_limits_on_callers_the_day_has_no_bound() -> None:
    assert promises(CALLER_LIMITS="off")["learn.contacts.account"].at_most is None
