"""The lines of a policy, as people and programs read them."""

import json

import pytest

from shared.policy import table
from shared.policy.lines import LINES, PolicyLine, in_first_day, windows_in_a_day
from shared.policy.table import render


def line(**fields: object) -> PolicyLine:
    return PolicyLine.model_validate(
        {"topic": "guess", "name": "guess.code", "who": "strangers", "at_most": 10, "unit": "guesses a day"} | fields
    )


@pytest.mark.parametrize(
    ("at_most", "words"),
    [
        (10, "10 guesses a day"),
        (270_000, "270,000 guesses a day"),
        (0.5, "0.5 guesses a day"),
        (0, "not possible"),
        (None, "any number of guesses a day"),
    ],
)
def test_a_limit_is_a_number_impossible_or_missing(at_most: float | None, words: str) -> None:
    assert line(at_most=at_most).limit == words


def test_a_limit_that_refills_evenly_allows_one_burst_and_a_day_of_refill() -> None:
    assert in_first_day(600, 600) == 15_000


@pytest.mark.parametrize(("hours", "windows"), [(1, 25), (0.25, 97), (24, 2)])
def test_a_day_touches_one_window_more_than_fit_into_it(hours: float, windows: int) -> None:
    assert windows_in_a_day(hours) == windows


def test_people_read_the_contracts_only_where_a_line_is_not_about_all_of_them() -> None:
    shown = render([line(dialects=("native", "tel")), line(who="neighbours", dialects=("tel",), cost="12 requests")])
    assert shown == (
        "Guess a code or a password\n"
        "  strangers: 10 guesses a day\n"
        "  neighbours (tel): 10 guesses a day\n"
        "      cost: 12 requests\n"
    )


def test_topics_are_listed_once_in_their_order() -> None:
    lines = [line(topic="keep-out"), line(), line(topic="keep-out")]
    assert [text for text in render(lines).splitlines() if not text.startswith(" ")] == [
        "Guess a code or a password",
        "",
        "Keep a victim out",
    ]


def test_json_that_a_service_prints_becomes_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    table.write([line()], as_json=True)
    printed = capsys.readouterr().out
    table.main(lambda: printed)

    assert json.loads(printed)[0]["at_most"] == 10
    assert capsys.readouterr().out == render(LINES.validate_json(printed))
