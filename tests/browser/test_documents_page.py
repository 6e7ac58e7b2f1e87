"""/docs in a real browser: nothing foreign, nothing logged, whole at any width, found by filtering."""

import pytest
from playwright.async_api import expect
from support.browser import Visiting

WIDTHS = [390, 1280]
SCHEMES = ["light", "dark"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_the_page_fits_its_window_in_every_language_and_light(
    visit: Visiting, language: str, width: int, scheme: str
) -> None:
    seen = await visit(language, width, color_scheme=scheme)
    await seen.page.goto(f"{seen.gateway}/docs")

    await expect(seen.page.locator("html")).to_have_attribute("lang", "zh-CN" if language == "zh" else "en")
    assert await seen.page.evaluate("document.documentElement.scrollWidth") <= width
    for fold in await seen.page.locator("details.refusals summary").all():
        await fold.evaluate("summary => summary.parentElement.open = true")
    assert await seen.page.evaluate("document.documentElement.scrollWidth") <= width
    folded = await seen.page.locator(".contents details").evaluate("details => !details.open")
    assert folded is (width < 860)


async def test_filtering_leaves_what_fits(visit: Visiting) -> None:
    seen = await visit("en")
    await seen.page.goto(f"{seen.gateway}/docs")

    await seen.page.fill("#filter", "10009 contact")
    await expect(seen.page.locator("article:visible")).to_have_count(1)
    await expect(seen.page.locator("article:visible h3")).to_contain_text("check_contact.json")
    await seen.page.fill("#filter", "xyzzy")
    await expect(seen.page.locator("#nothing")).to_be_visible()


async def test_a_command_names_this_gateway_and_can_be_copied(visit: Visiting) -> None:
    seen = await visit("en")
    await seen.page.goto(f"{seen.gateway}/docs")

    command = seen.page.locator("article#maitian\\.send_sign_up_code figure").first
    await command.locator("button").click()
    copied = await seen.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f'curl "{seen.gateway}/v1/user/register/verify_code.json?source=Android')
    await expect(command.locator("button")).to_have_text("Copied")


async def test_a_link_leads_to_its_call(visit: Visiting) -> None:
    seen = await visit("zh")
    await seen.page.goto(f"{seen.gateway}/docs")

    await seen.page.locator(".contents a[href='#tel.register']").click()
    await expect(seen.page.locator("article#tel\\.register")).to_be_in_viewport()
