"""How the tests come by a browser, and what they say where there is none."""

import pytest
from stack.folder import StackError
from stack.packages import apt, chromium


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "NAMES", ("no-such-browser",))
    monkeypatch.delenv("CHROMIUM", raising=False)


def test_without_chromium_a_user_is_told_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "can_install", lambda: False)
    with pytest.raises(StackError, match="apt-get install -y --no-install-recommends chromium, or set CHROMIUM"):
        chromium.browser(print)


def test_root_installs_chromium_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def install(package: str, _: object) -> None:
        asked.append(package)
        monkeypatch.setattr(chromium, "NAMES", ("sh",))

    monkeypatch.setattr(apt, "can_install", lambda: True)
    monkeypatch.setattr(apt, "install", install)
    assert chromium.browser(print) == chromium.browser(print)
    assert asked == ["chromium"]


def test_another_browser_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/bin/sh")
    assert chromium.browser(print) == "/bin/sh"
