"""The policies of the services, joined into one."""

from stack.commands.policy import merged


def test_lines_that_differ_in_their_contracts_only_are_one() -> None:
    lines = [
        {"name": "cooldown", "at_most": 360, "dialects": ["native"]},
        {"name": "cooldown", "at_most": 720, "dialects": ["phone_info"]},
        {"name": "cooldown", "at_most": 360, "dialects": ["tel"]},
    ]
    assert merged(lines) == [
        {"name": "cooldown", "at_most": 360, "dialects": ["native", "tel"]},
        {"name": "cooldown", "at_most": 720, "dialects": ["phone_info"]},
    ]
