"""/docs in a real browser: it fits every width, and calls can be found, linked, read and tried."""

import json

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, expect
from support.app import fresh_number
from support.browser import Visit, Visiting


def call(user: Visit, method: str, path: str) -> Locator:
    """The card of a call in the viewer."""
    return user.page.locator(".opblock", has=user.page.locator(f'[data-path="{path}"]')).and_(
        user.page.locator(f".opblock-{method}")
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("language", ["zh", "en"])
async def test_every_page_fits_its_window(visit: Visiting, language: str, width: int, scheme: str) -> None:
    user = await visit(language, width, color_scheme=scheme)
    for name in ("", "/maitian", "/events"):
        await user.page.goto(f"{user.gateway}/docs{name}")
        if name != "/events":
            await user.page.locator(".opblock-summary-control").first.click()
            await expect(user.page.locator(".opblock-body").first).to_be_visible()
            dark = await user.page.evaluate("document.documentElement.classList.contains('dark-mode')")
            assert dark is (scheme == "dark")
        await expect(user.page.locator("html")).to_have_attribute("lang", "zh-CN" if language == "zh" else "en")
        assert await user.page.evaluate("document.documentElement.scrollWidth") <= width
        folded = await user.page.locator(".contents details").evaluate("details => !details.open")
        assert folded is (width < 860)


async def test_a_filter_finds_calls_and_events_of_every_page_by_their_words(visit: Visiting) -> None:
    user = await visit("en")
    await user.page.goto(f"{user.gateway}/docs/native")
    entries = user.page.locator(".contents li:visible")

    await user.page.fill("#filter", "10009 contact")
    await expect(entries).to_have_count(1)
    await expect(entries).to_contain_text("check_contact.json")
    await user.page.fill("#filter", "xyzzy")
    await expect(user.page.locator("#nothing")).to_be_visible()

    await user.page.fill("#filter", "auth.session.opened")
    await entries.first.locator("a").click()
    await user.page.wait_for_url("**/docs/events?lang=en#auth.session.opened.v1")
    await expect(user.page.locator("article#auth\\.session\\.opened\\.v1")).to_be_in_viewport()


async def test_an_entry_opens_its_call_and_no_other_here_and_from_another_page(visit: Visiting) -> None:
    user = await visit("zh")
    await user.page.goto(f"{user.gateway}/docs/native")
    for method in ("post", "delete"):
        entry = user.page.locator(".contents [data-here] li", has_text="/v2/sessions").filter(
            has=user.page.locator(f".{method.upper()}"), has_not_text="/v2/sessions/"
        )
        await entry.locator("a").click()
        await expect(call(user, method, "/v2/sessions").locator(".opblock-body")).to_be_visible()
        await expect(user.page.locator(".opblock.is-open")).to_have_count(1)
        await expect(entry.locator("a")).to_have_attribute("aria-current", "true")
        await expect(user.page.locator(".contents [aria-current]")).to_have_count(1)
        await call(user, method, "/v2/sessions").locator(".opblock-summary-control").click()

    await user.page.goto(f"{user.gateway}/docs/tel")
    await user.page.locator(".contents li", has_text="/v2/contacts/match").locator("a").click()
    await user.page.wait_for_url("**/docs/native?lang=zh#/native/*")
    await expect(call(user, "post", "/v2/contacts/match").locator(".opblock-body")).to_be_visible()
    await expect(call(user, "post", "/v2/contacts/match")).to_be_in_viewport()


async def test_a_reader_tries_a_call(visit: Visiting) -> None:
    user = await visit("en")
    await user.page.goto(f"{user.gateway}/docs/native")
    card = call(user, "post", "/v2/verifications")
    await card.locator(".opblock-summary-control").click()
    await card.locator(".try-out__btn").click()
    await card.locator("textarea.body-param__text").fill(json.dumps({"phone": fresh_number(), "purpose": "sign_up"}))
    async with user.page.expect_response("**/v2/verifications") as answered:
        await card.locator("button.execute").click()

    assert (await answered.value).status == 202
    await expect(card.locator(".live-responses-table")).to_contain_text("resend_after")
    await expect(card.locator(".curl-command")).to_contain_text(user.gateway)


async def test_an_example_of_an_event_can_be_copied(visit: Visiting) -> None:
    user = await visit("en")
    await user.page.goto(f"{user.gateway}/docs/events")
    example = user.page.locator("article#auth\\.user\\.registered\\.v1 figure")
    await example.locator("button").click()
    copied = await user.page.evaluate("navigator.clipboard.readText()")
    assert json.loads(copied)["type"] == "auth.user.registered.v1"
    await expect(example.locator("button")).to_have_text("Copied")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_our_own_part_of_the_documents_is_accessible(visit: Visiting, scheme: str) -> None:
    user = await visit("en", color_scheme=scheme)
    for name in ("native", "events"):
        await user.page.goto(f"{user.gateway}/docs/{name}")
        result = await Axe().run(user.page, context={"exclude": [[".swagger-ui"]]})
        serious = [each["id"] for each in result.response["violations"] if each["impact"] in {"serious", "critical"}]
        assert serious == [], name
