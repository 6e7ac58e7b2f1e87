"""What a message says."""

from datetime import timedelta

import pytest

from shared.contracts.sms import Language, Purpose
from sms_service.texts import code_text


@pytest.mark.parametrize("purpose", Purpose)
def test_every_purpose_has_words(purpose: Purpose) -> None:
    text = code_text("012345", purpose, timedelta(minutes=5))
    assert text.startswith("【好码】")
    assert "012345" in text
    assert "5 分钟内有效" in text
    assert len(text) <= 70  # one message, not two


@pytest.mark.parametrize(("seconds", "minutes"), [(299.9, 5), (241, 5), (240, 4), (61, 2), (60, 1), (1, 1)])
def test_a_text_tells_the_minutes_that_are_left(seconds: float, minutes: int) -> None:
    assert f"，{minutes} 分钟" in code_text("012345", Purpose.SIGN_UP, timedelta(seconds=seconds))


@pytest.mark.parametrize("purpose", Purpose)
def test_every_purpose_has_english_words(purpose: Purpose) -> None:
    text = code_text("012345", purpose, timedelta(minutes=5), Language.ENGLISH)
    assert text.startswith("[Haoma] 012345 is your code to ")
    assert "5 minutes." in text
    assert len(text) <= 160  # one message, not two


def test_one_minute_is_one() -> None:
    assert "1 minute." in code_text("012345", Purpose.SIGN_UP, timedelta(seconds=9), Language.ENGLISH)
