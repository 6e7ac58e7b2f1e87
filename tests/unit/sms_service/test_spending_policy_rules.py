"""What `make mutation` found untested in the spending policy: amounts just below a threshold."""

from sms_service.spending.policy import BudgetUse, CurrentStage, Stage, budget_stage


def test_an_exhausted_budget_reopens_at_exactly_a_twentieth() -> None:
    exhausted = CurrentStage(Stage.BLOCKED, expired=False)
    assert budget_stage(BudgetUse(39, 41, 1), 80, exhausted) is Stage.BLOCKED
    assert budget_stage(BudgetUse(38, 40, 1), 80, exhausted) is Stage.FLAGGED


def test_a_budget_is_warned_about_at_exactly_its_percentage() -> None:
    assert budget_stage(BudgetUse(7_999, 10_000, 1), 80, CurrentStage()) is Stage.NONE
    assert budget_stage(BudgetUse(8_000, 10_000, 1), 80, CurrentStage()) is Stage.FLAGGED
