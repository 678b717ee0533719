"""The report of a real run in a real browser: it works by clicking, and loads nothing."""

import pytest

from cpvae_jax.storage.run_folder import PAGE
from tests import browser

POINTS = "document.querySelector('[data-figure=codes]').data[0].marker"
SHOWN = "[...document.querySelectorAll('.panel')].filter(p => !p.hidden).map(p => p.id).join()"


@pytest.fixture(scope="module")
def chromium():
    program = browser.find()
    if program is None:
        pytest.skip(
            "NO BROWSER: the report is NOT tested in one; install Debian's package chromium."
        )
    with browser.Browser(program) as found:
        yield found


def test_a_reader_moves_between_categories_and_nothing_is_loaded(chromium, tiny_run):
    address = (tiny_run / PAGE).as_uri()
    page = chromium.open(address)
    assert page.evaluate("document.querySelectorAll('.figure .main-svg').length") >= 3
    assert page.evaluate(f"{SHOWN}.split(',').length") == 1
    assert page.evaluate("location.hash") == ""

    for k in (1, 2, 0):
        page.click(f"#tab-{k}")
        assert page.evaluate("location.hash") == f"#category={k}"
        assert page.evaluate(SHOWN) == f"panel-{k}"
        assert page.evaluate("document.querySelectorAll('[aria-selected=true]').length") == 1
    page.click("#before")  # of the first, the last
    assert page.evaluate("location.hash") == "#category=2"
    page.evaluate("history.back(), new Promise(done => setTimeout(done, 300))")
    assert page.evaluate(SHOWN) == "panel-0"

    assert page.evaluate(f"new Set({POINTS}.opacity).size") == 2
    page.click("#all")
    assert page.evaluate(f"{POINTS}.opacity") == 0.8
    before = page.evaluate(f"{POINTS}.color.join()")
    page.click("#by-label")
    assert page.evaluate(f"{POINTS}.color.join()") != before

    page.click("#to-panel")
    assert page.evaluate("document.querySelector('#to-panel').textContent").endswith("category 0")
    top = page.evaluate("document.querySelector('#panel-0').getBoundingClientRect().top")
    assert 0 <= top < page.evaluate("innerHeight")

    page.click("#panel-0 .cells img")
    assert page.evaluate("document.querySelectorAll('#panel-0 .mark:not([hidden])').length") == 2
    assert "row" in page.evaluate("document.querySelector('#panel-0 .who').textContent")

    assert page.evaluate("document.querySelectorAll('main b[onclick]').length") == 0
    assert page.errors == []
    assert page.requests == [address]


def test_the_address_names_the_category_and_a_narrow_screen_shows_all(chromium, tiny_run):
    page = chromium.open((tiny_run / PAGE).as_uri() + "#category=1")
    assert page.evaluate(SHOWN) == "panel-1"
    page.call(
        "Emulation.setDeviceMetricsOverride",
        width=390,
        height=800,
        deviceScaleFactor=1,
        mobile=True,
    )
    page.evaluate("new Promise(done => setTimeout(done, 500))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.errors == []


def test_the_browser_notices_what_a_page_loads_and_what_fails(chromium, tmp_path):
    """So that the tests above cannot pass by seeing nothing."""
    path = tmp_path / "bad.html"
    path.write_text(
        "<img src='http://localhost:9/x.png'><script>console.error(1); nothing()</script>"
    )
    page = chromium.open(path.as_uri())
    assert page.requests == [path.as_uri(), "http://localhost:9/x.png"]
    assert len(page.errors) >= 2
