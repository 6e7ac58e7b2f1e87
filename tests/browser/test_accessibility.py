"""axe finds no serious violation in any page, light or dark, narrow or wide."""

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect
from support.app import App, fresh_number
from support.browser import Visit, Visiting

SERIOUS = {"serious", "critical"}

SCHEMES = pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)], ids=["light", "dark"])


async def serious_violations(visit: Visit) -> dict[str, Any]:
    result = await Axe().run(visit.page)
    return {each["id"]: each["nodes"] for each in result.response["violations"] if each["impact"] in SERIOUS}


@pytest.mark.usefixtures("empty_inbox")
@SCHEMES
async def test_the_inbox_is_accessible(visit: Visiting, put, scheme: str, width: int) -> None:
    user = await visit("zh", width, color_scheme=scheme)
    await user.inbox()
    assert await serious_violations(user) == {}

    await put("+8613800130000", "hello")
    await expect(user.page.locator("#messages li")).to_have_count(1)
    await user.page.keyboard.press("j")
    assert await serious_violations(user) == {}

    await user.page.click("#delete")
    assert await serious_violations(user) == {}


@SCHEMES
async def test_the_forms_are_accessible(visit: Visiting, scheme: str, width: int) -> None:
    user = await visit("en", width, color_scheme=scheme)
    for name in ("register", "login", "reset"):
        await user.form(name)
        assert await serious_violations(user) == {}, name

        await user.page.click("#go")
        await user.error_of("phone")
        assert await serious_violations(user) == {}, name


@SCHEMES
async def test_the_page_of_a_logged_in_user_is_accessible(visit: Visiting, app: App, scheme: str, width: int) -> None:
    number = fresh_number()
    await app.register(number, "sesame, 42")
    user = await visit("zh", width, color_scheme=scheme)
    await user.form("login")
    await user.fill(phone=number, password="sesame, 42")
    await user.page.click("#go")
    await expect(user.page.locator("#done h1")).to_be_focused()
    assert await serious_violations(user) == {}
