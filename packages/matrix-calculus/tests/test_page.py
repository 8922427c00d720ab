"""A whole session with the page in headless Chromium, by keys and by mouse, as a reader would have it."""

from __future__ import annotations

import shutil
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

PATIENCE = 60  # seconds; a busy machine starts a browser slowly


@pytest.fixture(scope="module")
def browser():
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail(
            "the page is tested in Chromium: install it with its driver, on Debian chromium and chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1100,1400",
    ):
        options.add_argument(flag)
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture
def page(browser, address, tmp_path):
    browser.get("about:blank")  # a change of the fragment alone would not load the page again
    browser.get(address)
    browser.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": address},
    )
    yield browser
    browser.save_screenshot(str(tmp_path / "page.png"))


def keys(page, *pressed):
    ActionChains(page).send_keys(*pressed).perform()


def chord(page, modifier, key):
    ActionChains(page).key_down(modifier).send_keys(key).key_up(modifier).perform()


def shown(page, identity):
    """The text of an element, once it is there."""
    WebDriverWait(page, PATIENCE).until(lambda page: page.find_elements(By.ID, identity))
    return page.find_element(By.ID, identity).text


def answered(page, formula):
    WebDriverWait(page, PATIENCE).until(
        lambda page: formula in [one.text for one in page.find_elements(By.ID, "typed")]
    )


def replace_by_keys(page, words):
    chord(page, Keys.CONTROL, "a")
    keys(page, words)


def ask(page, expression, wrt, symbols):
    """From the first field on, without the mouse."""
    for words in (expression, wrt, symbols):
        replace_by_keys(page, words)
        keys(page, Keys.TAB)
    chord(page, Keys.SHIFT, Keys.TAB)
    keys(page, Keys.ENTER)


def test_by_keys_alone_from_a_question_to_a_step_unfolded(page):
    assert page.switch_to.active_element.get_attribute("id") == "expression"
    ask(page, "sin(x^2)", "x", "x: scalar")
    answered(page, "2*cos(x^2)*x")
    assert shown(page, "proof").startswith("holds")
    for _ in range(20):
        keys(page, Keys.TAB)
        if page.switch_to.active_element.tag_name == "summary":
            break
    step = page.switch_to.active_element
    details = step.find_element(By.XPATH, "..")
    assert not details.get_property("open")
    keys(page, Keys.ENTER)
    assert details.get_property("open")
    assert "intermediate variable" in details.text and "Checked, off by" in details.text


def test_by_mouse_the_kind_the_code_and_the_clipboard(page):
    ask(page, "x'*A*x", "x", "A: matrix(n, n); x: vector(n)")
    answered(page, "x'*A' + x'*A")
    Select(page.find_element(By.ID, "kind")).select_by_visible_text("hessian")
    page.find_element(By.CSS_SELECTOR, "#ask button").click()
    answered(page, "A' + A")
    titles = [one.text for one in page.find_elements(By.TAG_NAME, "h3")]
    assert "Differentiate once more" in titles and titles[-1] == "In the end"
    assert not page.find_elements(By.ID, "kronecker")
    assert page.find_element(By.CSS_SELECTOR, "summary").get_attribute(
        "title"
    )  # the shape, where the pointer rests
    page.find_element(By.XPATH, "//button[text()='torch']").click()
    assert "import torch" in shown(page, "code")
    page.find_element(By.ID, "copy").click()
    WebDriverWait(page, PATIENCE).until(lambda page: page.find_element(By.ID, "copy").text == "copied")
    page.find_element(By.ID, "learner").click()
    chord(page, Keys.CONTROL, "v")
    assert page.find_element(By.ID, "learner").get_attribute("value").startswith("import torch")


def test_an_answer_of_ones_own_is_checked(page):
    ask(page, "sum(X*w)", "w", "X: matrix(N, n); w: vector(n)")
    answered(page, "sum(X, 1)")
    for words, verdict in (("X", "wrong"), ("sum(X, 2)", "wrong"), ("ones(N)'*X", "right")):
        page.find_element(By.ID, "learner").click()
        replace_by_keys(page, words)
        keys(page, Keys.ENTER)
        place = (By.CSS_SELECTOR, f"#verdict .{verdict}")
        WebDriverWait(page, PATIENCE).until(lambda page, place=place: page.find_elements(*place))
        assert page.find_element(By.ID, "verdict").text.startswith(verdict)


def test_a_permalink_leads_to_the_same_answer(page):
    ask(page, "norm2(A*x)", "x", "A: matrix(m, n); x: vector(n)")
    answered(page, "x'*A'*A/norm2(A*x)")
    link = page.current_url
    assert quote("norm2(") in link or "norm2%28" in link
    page.get("about:blank")
    page.get(link)
    answered(page, "x'*A'*A/norm2(A*x)")
    assert page.find_element(By.ID, "expression").get_attribute("value") == "norm2(A*x)"


def test_a_mistake_is_shown_at_its_place_and_the_page_goes_on(page):
    ask(page, "A*y'", "y", "A: matrix(m, n); y: vector(n)")
    WebDriverWait(page, PATIENCE).until(lambda page: page.find_elements(By.CLASS_NAME, "error"))
    assert "cannot take" in page.find_element(By.CLASS_NAME, "error").text
    page.find_element(By.ID, "expression").click()
    ask(page, "A*y", "y", "A: matrix(m, n); y: vector(n)")
    answered(page, "A")
    assert not page.find_elements(By.CLASS_NAME, "error")


def test_on_a_phone_nothing_is_wider_than_the_screen_and_nothing_comes_from_elsewhere(
    page, address, tmp_path
):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        ask(
            page,
            "sum((y - relu(X*w + b)).^2)/N",
            "w",
            "X: matrix(N, n); y: vector(N); w: vector(n); b: scalar",
        )
        WebDriverWait(page, PATIENCE).until(lambda page: page.find_elements(By.ID, "formula"))
        wide = page.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
        fetched = page.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
        assert fetched and all(one.startswith(address) for one in fetched)
        page.save_screenshot(str(tmp_path / "phone.png"))
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
