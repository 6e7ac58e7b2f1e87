"""How the tests find a browser, and their message if there is none."""

import pytest
from stack.folder import StackError
from stack.packages import apt, chromium


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "NAMES", ("no-such-browser",))
    monkeypatch.delenv("CHROMIUM", raising=False)


def test_without_chromium_the_error_shows_the_command_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "can_install", lambda: False)
    with pytest.raises(StackError, match="apt-get install -y --no-install-recommends chromium, or set CHROMIUM"):
        chromium.browser(print)


def test_root_installs_chromium_once(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []

    def install(package: str, _: object) -> None:
        installed.append(package)
        monkeypatch.setattr(chromium, "NAMES", ("sh",))

    monkeypatch.setattr(apt, "can_install", lambda: True)
    monkeypatch.setattr(apt, "install", install)
    assert chromium.browser(print) == chromium.browser(print)
    assert installed == ["chromium"]


def test_the_variable_chromium_names_another_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/bin/sh")
    assert chromium.browser(print) == "/bin/sh"
