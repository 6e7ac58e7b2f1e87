"""The promises about contact look-ups: ``python -m contacts_service policy``."""

from contacts_service.budget import MAX_FREE_SHARE
from contacts_service.settings import ContactsSettings
from shared.policy.lines import DAY_HOURS, PolicyLine, in_first_day

UNSEEN = 10_000
"""Of so many numbers that were never looked up, the lines say how many are answered."""
ACCOUNTS = 6
"""How many accounts look up the same list together."""
MINUTES = 60


def lines(settings: ContactsSettings) -> list[PolicyLine]:
    """All promises about contact look-ups."""
    return [
        _account(settings),
        _after_budget(1, "one account"),
        _after_budget(ACCOUNTS, f"{ACCOUNTS} accounts together"),
    ]


def _account(settings: ContactsSettings) -> PolicyLine:
    counted = in_first_day(settings.contacts_budget, settings.contacts_budget_per_hour)
    calls = settings.calls_per_minute
    free = None if calls is None else round(MAX_FREE_SHARE * calls * MINUTES * DAY_HOURS)
    return PolicyLine(
        topic="learn",
        name="learn.contacts.account",
        who="members among the contacts of one account",
        at_most=None if free is None else counted + free,
        unit="numbers a day",
        note="CALLER_LIMITS=off" if free is None else _note(settings, free),
        call="contacts",
    )


def _note(settings: ContactsSettings, free: int) -> str:
    return (
        f"{settings.contacts_budget:,} at once, {settings.contacts_budget_per_hour} more an hour, "
        f"and {free} that pass as known, in {settings.contacts_calls_per_minute} calls a minute"
    )


def _after_budget(accounts: int, who: str) -> PolicyLine:
    return PolicyLine(
        topic="learn",
        name="learn.contacts.after-budget" if accounts == 1 else "learn.contacts.accounts",
        who=f"of {UNSEEN:,} unseen numbers after the budget is spent, {who}",
        at_most=round(accounts * MAX_FREE_SHARE * UNSEEN),
        unit="numbers",
        call="contacts",
    )
