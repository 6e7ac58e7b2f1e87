"""The report of a shadow run: differences by call and field, explained ones apart."""

from pathlib import Path

import pytest
from support.shadow_conversation import TABLE

from gateway.shadow.differences.comparison import Difference, Kind
from gateway.shadow.differences.expectations import Expectation, ExpectationError, Expectations
from gateway.shadow.differences.report import Report, Skipped

AVATAR = Difference("avatar", Kind.VALUE, "text of 9 characters", "empty text")
CODE = Difference("verify_code", Kind.FORM, "text of 6 digits", "empty text")


def test_differences_are_counted_by_call_and_field_with_lines() -> None:
    report, expectations = Report(), Expectations([Expectation(call="*", field="verify_code", reason="never shown")])
    log_in, reset = TABLE.find("POST", "/v1/user/login.json"), TABLE.find("GET", "/v1/user/forgot_password.json")
    assert log_in is not None
    assert reset is not None
    for line in range(1, 8):
        report.count_differing(line, log_in, [AVATAR], expectations)
    report.count_differing(8, reset, [CODE], expectations)
    report.count_skipped(Skipped.OTHER)
    report.count_broken(10, "json_broken")

    assert list(report.texts(expectations)) == [
        "10 calls read, 8 compared: maitian 8",
        "  1 not sent: of no contract",
        "  1 lines cannot be read: json_broken (line 10)",
        "1 unexplained differences, in 7 calls",
        "  maitian log_in, POST /v1/user/login.json",
        "    avatar: value: recorded text of 9 characters, Haoma empty text; 7 times, line 1, 2, 3, 4, 5, …",
        "1 explained differences",
        "  maitian send_reset_code, GET /v1/user/forgot_password.json",
        "    verify_code: form: recorded text of 6 digits, Haoma empty text; once, line 8; never shown",
    ]
    assert not report.is_clean


def test_an_expectation_that_nothing_met_is_named() -> None:
    expectations = Expectations([Expectation(call="tel *", field="avatar", kind=Kind.VALUE, reason="pictures move")])
    assert list(Report().texts(expectations))[-1] == "expected, and not seen: tel *, avatar"
    assert Report().is_clean


def test_expectations_with_one_reason_stay_apart() -> None:
    met, unmet = (Expectation(call=name, field="*", reason="moved") for name in ("maitian *", "tel *"))
    report, log_in = Report(), TABLE.find("POST", "/v1/user/login.json")
    assert log_in is not None
    report.count_differing(1, log_in, [AVATAR], Expectations([met, unmet]))
    assert report.unseen(Expectations([met, unmet])) == [unmet]


def test_an_expectation_may_name_the_kind() -> None:
    expectation = Expectation(call="maitian *", field="*", kind=Kind.FORM, reason="r")
    assert expectation.explains("maitian log_in", CODE)
    assert not expectation.explains("maitian log_in", AVATAR)
    assert not expectation.explains("tel log_in", CODE)


def test_a_report_survives_a_checkpoint() -> None:
    report, expectations = Report(), Expectations()
    log_in = TABLE.find("POST", "/v1/user/login.json")
    assert log_in is not None
    report.count_differing(1, log_in, [AVATAR, CODE], expectations)
    report.count_broken(2, "too_long")
    restored = Report.from_json(report.to_json())
    assert list(restored.texts(expectations)) == list(report.texts(expectations))


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("{", "JSON"),
        ('{"call": "a", "field": "b"}', "reason"),
        ('{"call": "a", "field": "b", "reason": "c", "x": 1}', "x"),
    ],
)
def test_a_broken_expectation_is_named_by_its_line(tmp_path: Path, content: str, place: str) -> None:
    file = tmp_path / "expected"
    file.write_text(f"\n{content}\n")
    with pytest.raises(ExpectationError, match=f"line 2: {place} is missing or invalid"):
        Expectations.read(file)
