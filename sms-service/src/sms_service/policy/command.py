"""``python -m sms_service policy``: what the settings promise."""

import sys
from collections.abc import Sequence

from shared.policy.lines import PolicyLine
from shared.policy.table import write
from sms_service.policy import bill, codes
from sms_service.policy.dialects import ANY, DialectRules
from sms_service.settings import PolicySettings


def lines(settings: PolicySettings, dialects: Sequence[DialectRules]) -> list[PolicyLine]:
    """All promises about codes."""
    limits = settings.caller_limit_values
    return [
        *codes.guesses(settings),
        *bill.bills(limits, settings.sms_config),
        *codes.look_ups(limits),
        *codes.keeping_out(settings, dialects or (ANY,)),
    ]


def print_policy(settings: PolicySettings, dialects: Sequence[str], *, as_json: bool) -> None:
    """Print them. ``dialects`` are rules as text, ``tel:60:3``. Exits with 2 and a reason if one is malformed."""
    try:
        rules = [DialectRules.parse(text) for text in dialects]
    except ValueError:
        sys.stderr.write("policy: --dialect: expected NAME:COOLDOWN:CAP, such as tel:60:3\n")
        raise SystemExit(2) from None
    write(lines(settings, rules), as_json=as_json)
