"""The page of the server in a headless Chromium: it shows, hides, counts, reads out and saves the classes."""

import base64
import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")
playwright = pytest.importorskip("playwright.sync_api")

from helpers.served import CLASSES, COLORS, encoded, expected, photograph, serving, write_folder  # noqa: E402

from tfseg.serving.exported import ExportedModel  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium", allow_module_level=True)

DROP = """([data, name]) => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, {type: "image/png"}));
    document.getElementById("drop").dispatchEvent(
        new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true}));
}"""
CANVAS = """() => {
    const view = document.getElementById("view");
    const data = view.getContext("2d").getImageData(0, 0, view.width, view.height).data;
    return [view.height, view.width, Array.from(data)];
}"""


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    exported = ExportedModel(write_folder(tmp_path_factory.mktemp("exported") / "colors"))
    with serving(exported, max_pixels=10_000) as port:
        yield port


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root has no sandbox
        yield browser
        browser.close()


@pytest.fixture
def page(browser, port):
    """The page. Its `messages` are errors, alerts, and the addresses of requests to other servers."""
    address = f"http://127.0.0.1:{port}/"
    page = browser.new_page()
    page.messages = []

    def watch(request):
        if not request.url.startswith((address, "blob:", "data:")):
            page.messages.append(request.url)

    page.on("console", lambda message: page.messages.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.messages.append(str(error)))
    page.on("dialog", lambda dialog: (page.messages.append(dialog.message), dialog.dismiss()))
    page.on("request", watch)
    page.goto(address)
    yield page
    page.close()


def shown(page):
    """The pixels of the canvas, `(height, width, 3)`."""
    height, width, values = page.evaluate(CANVAS)
    return np.reshape(values, (height, width, 4))[..., :3]


def drop(page, name, data):
    page.evaluate(DROP, [base64.b64encode(data).decode(), name])


def settled(page, text):
    """Waits until the status matches `text`; otherwise fails, and shows the status."""
    playwright.expect(page.locator("#status")).to_have_text(re.compile(text), timeout=30_000)


def test_a_dropped_photograph_is_shown_with_its_classes(page):
    image = photograph()
    classes = expected(image)
    drop(page, "photo.png", encoded(image))
    settled(page, r"^photo.png: 83 x 65 pixels in \d+\.\d s\.$")

    shares = np.bincount(classes.ravel()) / classes.size
    rows = [row.inner_text().split("\n") for row in page.locator("#classes label").all()]
    assert rows == [[CLASSES[index], f"{100 * shares[index]:.1f} %"] for index in np.argsort(-shares)]
    assert page.get_attribute("#view", "aria-label").startswith("The photograph under the colors of its classes: ")

    page.locator("#outlines").uncheck()
    page.locator("#strength").fill("100")
    np.testing.assert_array_equal(shown(page), np.array(COLORS)[classes])
    page.get_by_role("checkbox", name="green").uncheck()  # by what a screen reader reads
    np.testing.assert_array_equal(shown(page), np.where((classes == 1)[..., None], image, np.array(COLORS)[classes]))
    page.get_by_role("button", name="Hide all").click()
    np.testing.assert_array_equal(shown(page), image)
    page.get_by_role("button", name="Show all").press("Enter")
    np.testing.assert_array_equal(shown(page), np.array(COLORS)[classes])
    page.locator("#strength").fill("50")
    assert np.abs(shown(page) - (np.array(COLORS)[classes] + image) / 2).max() <= 1.5
    page.locator("#outlines").check()
    page.locator("#strength").fill("0")
    differs = (classes[10, 1:] != classes[10, :-1]).nonzero()[0][0]
    np.testing.assert_array_equal(shown(page)[10, differs], COLORS[classes[10, differs]])

    large = photograph(1, (240, 320))  # the server takes 10,000 pixels
    page.set_input_files("#file", {"name": "large.png", "mimeType": "image/png", "buffer": encoded(large)})
    settled(page, r"^large.png: 115 x 86 pixels in .* s, made smaller for this server's limit of 10000 pixels\.$")
    assert page.messages == []


def test_the_result_is_large_and_is_read_under_the_pointer_and_by_keys(page):
    image = photograph()
    classes = expected(image)
    drop(page, "photo.png", encoded(image))
    settled(page, "^photo.png: 83 x 65")
    box = page.locator("#view").bounding_box()
    assert box["height"] > 0.6 * page.viewport_size["height"]  # of 65 pixels
    x, y = 20, 30
    page.mouse.move(box["x"] + (x + 0.5) / 83 * box["width"], box["y"] + (y + 0.5) / 65 * box["height"])
    names = [f"{CLASSES[index]} (class {index})" for index in range(4)]
    assert page.locator("#what").inner_text().startswith(f"{names[classes[y, x]]} at {x}, {y}: ")
    page.locator("#view").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert page.locator("#what").inner_text().startswith(f"{names[classes[y - 1, x + 1]]} at {x + 1}, {y - 1}: ")
    assert page.is_visible("#cross")


def test_mask_and_overlay_are_saved(page):
    image = photograph()
    drop(page, "photo.png", encoded(image))
    settled(page, "^photo.png: 83 x 65")
    saved = {}
    for button in ("Mask (PNG)", "Overlay (PNG)"):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        saved[download.value.suggested_filename] = download.value.path().read_bytes()
    assert list(saved) == ["photo.png", "photo_overlay.png"]
    with Image.open(io.BytesIO(saved["photo.png"])) as mask:
        np.testing.assert_array_equal(mask, expected(image))
        assert np.reshape(mask.getpalette(), (-1, 3))[:4].tolist() == COLORS
    with Image.open(io.BytesIO(saved["photo_overlay.png"])) as overlay:
        np.testing.assert_array_equal(np.asarray(overlay)[..., :3], shown(page))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("report.pdf", b"%PDF-1.7", "^report.pdf is a PDF document: save it as PNG, TIFF or JPEG"),
        ("notes.txt", b"Dear diary", "^notes.txt: no whole picture .* Received: text that starts with 'Dear diary'$"),
        ("empty.png", b"", "^empty.png is empty.$"),
    ],
)
def test_what_is_no_picture_is_refused_in_its_own_words(page, name, content, words):
    drop(page, "photo.png", encoded(photograph()))
    settled(page, "^photo.png: 83 x 65")
    drop(page, name, content)
    settled(page, words)
    assert "error" in page.get_attribute("#status", "class")
    assert not page.is_visible("#result")  # it would look like the result of this file
    assert "browser" not in page.inner_text("#status")


def test_a_picture_that_no_browser_shows_is_shown_by_the_server(page):
    drop(page, "scan.tif", encoded(photograph(), "TIFF"))
    settled(page, "^scan.tif: 83 x 65")
    page.locator("#outlines").uncheck()
    page.locator("#strength").fill("100")
    np.testing.assert_array_equal(shown(page), np.array(COLORS)[expected(photograph())])


def test_a_sample_can_be_tried(browser, exported):
    with serving(exported) as port:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("button", name="Try a sample picture").click()
        settled(page, "^sample.jpg: 960 x 640 pixels")
        page.close()


def test_a_phone_needs_no_scrolling_sideways(browser, port):
    page = browser.new_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.goto(f"http://127.0.0.1:{port}/")
    drop(page, "photo.png", encoded(photograph()))
    settled(page, "^photo.png: 83 x 65")
    page.tap("#view")
    assert re.search(r"\(class \d\) at 4\d, 3\d: ", page.inner_text("#what"))
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    page.close()


def test_errors_of_the_server_are_shown(page, port):
    page.route(
        "**/segment*", lambda route: route.fulfill(status=503, json={"error": "256 requests are waiting already."})
    )
    drop(page, "photo.png", encoded(photograph()))
    settled(page, "^256 requests are waiting already.$")
    assert not page.is_visible("#result")


def test_the_policy_forbids_requests_to_other_servers(page):
    assert page.title() == "colors: what every pixel shows"
    with pytest.raises(playwright.Error):  # because of the Content-Security-Policy
        page.evaluate("fetch('http://127.0.0.1:1/')")
    assert any("Content Security Policy" in message for message in page.messages)
