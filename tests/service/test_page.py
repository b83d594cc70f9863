"""The page, in a real browser: it loads, ranks, shows errors, and works by keyboard and on a phone."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from rerank_plugins import RerankConfig
from rerank_plugins.options.service import ServiceSettings
from tests.service.conftest import Service, Start, running
from tests.waiting import SECONDS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium on the path")]


expect.set_options(timeout=1000 * SECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test if it logs an error to the console or sends a request to another host."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(1000 * SECONDS)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    opened.on("request", lambda request: complaints.append(request.url) if "//127.0.0.1" not in request.url else None)
    yield opened
    context.close()
    assert [each for each in complaints if "status of 4" not in each] == []


def test_an_example_is_ranked(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.get_by_label("Example").select_option(index=0)
    page.get_by_role("button", name="Rerank").click()
    first = page.locator(".result").first
    expect(first).to_contain_text("Photosynthesis uses sunlight")
    expect(first).to_contain_text("up 3")
    expect(page.get_by_role("status")).to_contain_text("4 passages in")
    assert page.locator(".result").count() == 4
    if folder := os.environ.get("RERANK_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / "service.png"))


def test_the_traps_of_the_page(page: Page, service: Service) -> None:
    page.goto(service.url)
    for example, answer in ((1, "Aspirin can cause"), (2, "Apple Intelligence"), (3, "Quantum entanglement is")):
        page.get_by_label("Example").select_option(index=example)
        page.get_by_role("button", name="Rerank").click()
        expect(page.locator(".result").first).to_contain_text(answer)


def test_by_keyboard_alone(page: Page, service: Service) -> None:
    page.goto(service.url)
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.get_by_label("Question")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("who wrote hamlet")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("Bread is baked.\nShakespeare wrote Hamlet.")
    page.keyboard.press("Tab")  # the key
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Rerank")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".result").first).to_contain_text("Shakespeare wrote Hamlet.")


def test_the_api_is_documented_offline(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/docs")
    expect(page.get_by_text("/v2/rerank")).to_be_visible()


def test_an_error_is_shown(page: Page, start: Start) -> None:
    page.goto(start(max_characters=50).url)
    page.get_by_label("Passages").fill("x" * 60)
    page.get_by_role("button", name="Rerank").click()
    expect(page.get_by_role("alert")).to_contain_text("exceeds the limit of 50")


def test_a_key_is_asked_for(page: Page, start: Start) -> None:
    page.goto(start(api_keys="sesame-open-yourself").url)
    page.get_by_role("button", name="Rerank").click()
    expect(page.get_by_role("alert")).to_contain_text("Missing or invalid API key")
    page.get_by_text("API key", exact=True).click()
    page.get_by_label("Key only").fill("sesame-open-yourself")
    page.get_by_role("button", name="Rerank").click()
    expect(page.locator(".result")).to_have_count(4)
    page.get_by_text("The same request with curl").click()
    expect(page.locator("#curl")).to_contain_text("$RERANK_API_KEY")
    expect(page.locator("#curl")).not_to_contain_text("sesame")


def test_texts_are_texts(page: Page, service: Service) -> None:
    page.goto(service.url)
    page.get_by_label("Passages").fill("<img src=x onerror=alert(1)>\nit's <b>bold</b>")
    page.get_by_role("button", name="Rerank").click()
    expect(page.locator(".result")).to_have_count(2)
    expect(page.locator("#results")).to_contain_text("<b>bold</b>")
    assert page.locator("#results img, #results b").count() == 0
    page.get_by_text("The same request with curl").click()
    expect(page.locator("#curl")).to_contain_text("it'\\''s")


def test_the_winning_part_of_a_long_passage_is_marked(page: Page) -> None:
    with running(ServiceSettings(), RerankConfig(long_documents="windows", max_length=64)) as service:
        page.goto(service.url)
        page.get_by_label("Question").fill("who wrote hamlet")
        filler = "Bread is baked in the oven every day by the baker. " * 12
        page.get_by_label("Passages").fill(f"{filler}Shakespeare wrote Hamlet in 1600. {filler}\nBread is food.")
        page.get_by_role("button", name="Rerank").click()
        expect(page.locator(".result mark").first).to_contain_text("Shakespeare wrote Hamlet")


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, service: Service) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.goto(service.url)
    page.get_by_role("button", name="Rerank").click()
    expect(page.locator(".result")).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()


def test_the_documentation_works_under_its_policy(page: Page, service: Service) -> None:
    page.goto(f"{service.url}/docs")
    expect(page.get_by_text("/v2/rerank").first).to_be_visible()
