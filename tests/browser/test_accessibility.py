"""What axe finds wrong with the pages: nothing serious, in light and dark, narrow and wide."""

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect
from support.app import App, fresh_number
from support.browser import Visit, Visiting

GRAVE = {"serious", "critical"}

looks = pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)], ids=["light", "dark"])


async def grave(visit: Visit) -> dict[str, Any]:
    found = await Axe().run(visit.page)
    return {each["id"]: each["nodes"] for each in found.response["violations"] if each["impact"] in GRAVE}


@pytest.mark.usefixtures("empty_inbox")
@looks
async def test_the_inbox_is_accessible(visit: Visiting, put, scheme: str, width: int) -> None:
    user = await visit("zh", width, color_scheme=scheme)
    await user.inbox()
    assert await grave(user) == {}

    await put("+8613800130000", "hello")
    await expect(user.page.locator("#messages li")).to_have_count(1)
    await user.page.keyboard.press("j")
    assert await grave(user) == {}

    await user.page.click("#delete")
    assert await grave(user) == {}


@looks
async def test_the_forms_are_accessible(visit: Visiting, scheme: str, width: int) -> None:
    user = await visit("en", width, color_scheme=scheme)
    for name in ("register", "login", "reset"):
        await user.form(name)
        assert await grave(user) == {}, name

        await user.page.click("#go")
        await user.complaint("phone")
        assert await grave(user) == {}, name


@looks
async def test_what_a_logged_in_user_sees_is_accessible(visit: Visiting, app: App, scheme: str, width: int) -> None:
    number = fresh_number()
    await app.register(number, "sesame, 42")
    user = await visit("zh", width, color_scheme=scheme)
    await user.form("login")
    await user.fill(phone=number, password="sesame, 42")
    await user.page.click("#go")
    await expect(user.page.locator("#done h1")).to_be_focused()
    assert await grave(user) == {}
