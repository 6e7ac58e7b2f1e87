"""The budget of incorrect codes over all numbers: while it is spent, each stranger's network may enter far fewer."""

import structlog
from prometheus_client import Gauge

ALL_FAILURES = 2_000
"""Incorrect codes over all numbers, in an hour. ``CALLER_WRONG_CODES_PER_HOUR`` changes their number."""
SLOWED_SHARE = 10
"""While the budget is spent, a network may enter a tenth of what it otherwise may."""
INTERVAL_SECONDS = 2.0
"""How often each process counts. That many seconds of an attack may exceed the budget."""

SLOWED = Gauge("haoma_code_checks_slowed", "1 while the budget of incorrect codes over all numbers is spent, else 0")

log = structlog.get_logger()


class FailureBudget:
    """Decides how many incorrect codes one network may enter in an hour: as a rule, ``from_one_network``.

    Guesses that are spread over many numbers and networks stay within every other limit. While the budget is spent,
    networks with more incorrect codes than a tenth of theirs wait for the rest of their hour, as full networks do. It
    has no other effect: callers that do not count on a network keep their tries, and so does every network with few
    incorrect codes.
    """

    def __init__(self, from_one_network: int, allowed: int = ALL_FAILURES) -> None:
        self.allowed = allowed
        self._from_one_network = from_one_network
        self._is_spent = False

    @property
    def network_failures(self) -> int:
        """How many incorrect codes one network may enter in an hour, now."""
        return max(1, self._from_one_network // SLOWED_SHARE) if self._is_spent else self._from_one_network

    def update(self, failures: int) -> None:
        """Judge by the incorrect codes of the last hour, over all numbers."""
        is_spent = failures >= self.allowed
        if is_spent is not self._is_spent:
            log.warning("code_checks.slowed" if is_spent else "code_checks.resumed", failures=failures)
        self._is_spent = is_spent
        SLOWED.set(is_spent)
