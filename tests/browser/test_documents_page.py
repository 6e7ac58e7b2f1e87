"""/docs in a real browser: it fits every width, and calls can be filtered, copied and linked."""

import pytest
from playwright.async_api import expect
from support.browser import Visiting

WIDTHS = [390, 1280]
SCHEMES = ["light", "dark"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_the_page_fits_its_window_in_every_language_and_color_scheme(
    visit: Visiting, language: str, width: int, scheme: str
) -> None:
    user = await visit(language, width, color_scheme=scheme)
    await user.page.goto(f"{user.gateway}/docs")

    await expect(user.page.locator("html")).to_have_attribute("lang", "zh-CN" if language == "zh" else "en")
    assert await user.page.evaluate("document.documentElement.scrollWidth") <= width
    for fold in await user.page.locator("details.refusals summary").all():
        await fold.evaluate("summary => summary.parentElement.open = true")
    assert await user.page.evaluate("document.documentElement.scrollWidth") <= width
    folded = await user.page.locator(".contents details").evaluate("details => !details.open")
    assert folded is (width < 860)


async def test_a_filter_leaves_the_matching_calls(visit: Visiting) -> None:
    user = await visit("en")
    await user.page.goto(f"{user.gateway}/docs")

    await user.page.fill("#filter", "10009 contact")
    await expect(user.page.locator("article:visible")).to_have_count(1)
    await expect(user.page.locator("article:visible h3")).to_contain_text("check_contact.json")
    await user.page.fill("#filter", "xyzzy")
    await expect(user.page.locator("#nothing")).to_be_visible()


async def test_a_command_contains_the_gateways_address_and_can_be_copied(visit: Visiting) -> None:
    user = await visit("en")
    await user.page.goto(f"{user.gateway}/docs")

    command = user.page.locator("article#maitian\\.send_registration_code figure").first
    await command.locator("button").click()
    copied = await user.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f'curl "{user.gateway}/v1/user/register/verify_code.json?source=Android')
    await expect(command.locator("button")).to_have_text("Copied")


async def test_a_link_scrolls_to_its_call(visit: Visiting) -> None:
    user = await visit("zh")
    await user.page.goto(f"{user.gateway}/docs")

    await user.page.locator(".contents a[href='#tel.register']").click()
    await expect(user.page.locator("article#tel\\.register")).to_be_in_viewport()
