"""The page in a real browser, before a real server with a real worker: one browser and one server for all tests."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from page_server import BROWSER_FLAGS, add_done, find_browser, running
from PIL import Image

from tamperscan.data import sample_path
from tamperscan.serve.home import Home
from tamperscan.serve.queue import Queue
from tamperscan.serve.web.settings import PageSettings

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = find_browser()
pytestmark = pytest.mark.skipif(not BROWSER, reason="no chromium (apt package chromium)")
PATIENCE_MS = 90_000  # software rendering on a busy machine
expect = playwright.expect  # waits until it is so
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = Home(tmp_path_factory.mktemp("page") / "home")
    made.prepare()
    return made


@pytest.fixture(scope="module")
def queue(home):
    queue = Queue(home)
    yield queue
    queue.database.close()


@pytest.fixture(scope="module")
def done(queue, sample_results):
    """A scan that the node screened."""
    return add_done(queue, sample_results, title="Chest 1.0 B30f")


@pytest.fixture(scope="module")
def address(home):
    command = [sys.executable, "-m", "tamperscan", "serve", "--home", str(home.root), "--port", "0"]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=surroundings
    ) as server:
        yield re.search(r"http://\S+[^/\s]", server.stdout.readline()).group()
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER, args=BROWSER_FLAGS)
        yield started
        started.close()


@pytest.fixture
def tab(browser, address):
    """A tab of a laptop's size; whatever goes wrong in its scripts fails the test."""
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert not faults


def open_scan(tab, job):
    tab.goto(f"/read/{job.id}")
    wait_for_images(tab)
    return tab


def wait_for_images(tab):
    tab.wait_for_selector("#reading:not([hidden]) #loading[hidden]", state="attached")
    wait_until(lambda: picture(tab).max() > 100)


def wait_until(holds, seconds=60):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


def picture(tab, stage="#scan-canvas"):
    """What is seen of the images: int [row, column, colour]."""
    png = tab.locator(stage).screenshot()
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def orange(tab):
    """Number of pixels in the colours of suspicion; the rings are thin beside it."""
    red, green, blue = np.moveaxis(picture(tab), -1, 0)
    return int(((red - blue > 60) & (red > green)).sum())


def set_slider(tab, name, value):
    tab.get_by_role("slider", name=name).evaluate(
        "(s, v) => {s.value = v; s.dispatchEvent(new Event('input'))}", str(value)
    )


def test_upload_progress_and_result(tab):
    tab.goto("/")
    tab.locator("#files").set_input_files(sample_path())
    tab.wait_for_url("**/read/*")
    expect(tab.get_by_role("heading", name="7478_73.dcm")).to_be_visible()
    wait_for_images(tab)
    expect(tab.locator("#verdict")).to_contain_text("Suspicious")
    expect(tab.get_by_role("button", name="Slice 0:")).to_be_visible()


def test_no_scan_is_told(tab):
    tab.goto("/")
    tab.locator("#files").set_input_files({"name": "letter.txt", "mimeType": "text/plain", "buffer": b"hello"})
    alert = tab.get_by_role("alert")
    alert.wait_for()
    expect(alert).to_contain_text("There is no scan in this upload")


def test_dropped_scan_is_taken(tab):
    tab.goto("/")
    tab.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["hello"], "dropped.txt"));
            dispatchEvent(new DragEvent("dragenter", {dataTransfer: data}));
            dispatchEvent(new DragEvent("drop", {dataTransfer: data, cancelable: true}));
        }"""
    )
    tab.get_by_role("alert").wait_for()


def test_worklist_filters_and_leads_to_a_scan(tab, done, queue):
    queue.add("skips", origin="node", model="none", source="x", title="<b>Head</b> 3.0", sender="MR2", state="skipped")
    tab.goto("/")
    tab.get_by_role("link", name="<b>Head</b> 3.0").wait_for()
    tab.get_by_label("Verdict").select_option("suspicious")
    tab.get_by_role("link", name="<b>Head</b> 3.0").wait_for(state="detached")
    tab.get_by_label("Search").fill("nobody has this")
    tab.get_by_text("No scan meets these filters.").wait_for()
    tab.get_by_role("button", name="Show all").click()
    tab.get_by_label("Search").fill("b30f")
    tab.get_by_role("row", name="Chest 1.0 B30f").wait_for()
    tab.get_by_role("link", name="Chest 1.0 B30f").click()
    tab.wait_for_url(f"**/read/{done.id}")


def test_overlay_opacity_and_threshold(tab, done):
    open_scan(tab, done)
    wait_until(lambda: orange(tab) > 2000)
    shown = orange(tab)
    set_slider(tab, "Threshold", 30)
    wait_until(lambda: orange(tab) < 0.7 * shown)
    set_slider(tab, "Threshold", 0)
    wait_until(lambda: orange(tab) > shown)
    set_slider(tab, "Opacity", 0)
    wait_until(lambda: orange(tab) < 1000)
    set_slider(tab, "Opacity", 80)
    wait_until(lambda: orange(tab) > shown)
    tab.get_by_label("Suspicion", exact=True).uncheck()
    wait_until(lambda: orange(tab) < 1000)


def test_windows_and_residual(tab, done):
    open_scan(tab, done)
    lung = picture(tab)
    tab.get_by_label("Window").select_option("bone")
    wait_until(lambda: np.abs(picture(tab) - lung).mean() > 10)
    expect(tab.locator("#scan-caption")).to_contain_text("C 500 W 2000")
    tab.get_by_label("Residual").check()
    wait_until(lambda: picture(tab, "#residual-canvas").std() > 30)
    expect(tab.locator("#residual-marks circle")).to_have_count(2)  # the ring and its shadow


def test_finding_is_jumped_to(tab, done, sample_results):
    (finding,) = json.loads((sample_results / "screening.json").read_text())["findings"]
    _, row, column = finding["centre"]
    place = f"row {row}, column {column}"
    open_scan(tab, done)
    expect(tab.locator("#readout")).to_contain_text(place)
    box = tab.locator("#scan-canvas").bounding_box()
    tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + 40)
    wait_until(lambda: place not in tab.locator("#readout").text_content())
    tab.get_by_role("button", name="Slice 0:").click()
    wait_until(lambda: place in tab.locator("#readout").text_content())
    assert re.search(r"-?\d+ HU", tab.locator("#readout").text_content())


def test_slices_by_keys_and_mouse(tab, queue, sample_results):
    job = add_done(queue, long_results(sample_results), key="long", title="Long")
    open_scan(tab, job)
    strip = tab.get_by_role("slider", name="Slice", exact=True)
    tab.keyboard.press("End")
    expect(strip).to_have_attribute("aria-valuenow", "7")
    tab.keyboard.press("ArrowUp")
    expect(strip).to_have_attribute("aria-valuetext", re.compile("^Slice 6, score"))
    wait_until(lambda: "slice 6 (0 to 7)" in tab.locator("#readout").text_content())
    box = strip.bounding_box()
    tab.mouse.click(box["x"] + 48 * 2.5, box["y"] + 20)
    expect(strip).to_have_attribute("aria-valuenow", "2")
    tab.mouse.move(400, 300)
    tab.mouse.wheel(0, 100)
    expect(strip).to_have_attribute("aria-valuenow", "3")
    tab.keyboard.press("n")
    expect(strip).to_have_attribute("aria-valuenow", "5")
    expect(strip).to_have_attribute("aria-valuetext", re.compile("finding 1$"))


def long_results(results):
    """The sample's results as those of eight slices: the finding is in slice 5."""
    longer = Path(shutil.copytree(results, results.parent / "long"))
    for name in ("scan", "suspicion"):
        path = longer / "nifti" / f"{name}.nii.gz"
        image = nib.load(path)
        stack = np.repeat(image.get_fdata(), 8, axis=2).astype(np.int16)
        nib.save(nib.Nifti1Image(stack, image.affine), path)
    (longer / "nifti" / "residual.nii.gz").unlink()
    document = json.loads((longer / "screening.json").read_text())
    document["scan"]["shape"][0] = 8
    document["slices"] = [{**document["slices"][0], "index": index, "score": 5.0 + index} for index in range(8)]
    document["findings"][0] |= {"centre": [5, 272, 357], "slice_range": [4, 6]}
    (longer / "screening.json").write_text(json.dumps(document))
    return longer


def test_lengths_are_in_millimetres(tab, done):
    """The image is 512 columns of 0.664 mm high and fills the height of the canvas."""
    open_scan(tab, done)
    box = tab.locator("#scan-canvas").bounding_box()
    tab.keyboard.press("m")
    tab.mouse.move(box["x"] + 400, box["y"] + 150)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 500, box["y"] + 150, steps=4)
    tab.mouse.up()
    wait_until(lambda: "mm" in tab.locator("#measured").text_content())
    length = float(tab.locator("#measured").text_content().split()[0])
    assert length == pytest.approx(100 * 512 * 0.664 / box["height"], rel=0.02)
    tab.keyboard.press("Delete")
    expect(tab.locator("#measured")).to_have_text("")


def test_decision_is_kept(tab, done, queue, home):
    open_scan(tab, done)
    tab.get_by_role("radio", name="Confirm").check()
    tab.get_by_label("Comment").fill("nodule; looks pasted in")  # keys typed here are no commands
    tab.get_by_label("Your name").fill("Dr. A")
    tab.get_by_role("button", name="Keep").click()
    tab.get_by_text("Confirmed by Dr. A.").wait_for()
    job = queue.job(done.id)
    assert (job.decision, job.comment, job.reviewer) == ("confirmed", "nodule; looks pasted in", "Dr. A")
    assert '"decision":"confirmed"' in home.audit_log.read_text()
    tab.goto("/")
    row = tab.get_by_role("row", name="Chest 1.0 B30f")
    expect(row).to_contain_text("Confirmed")


def test_downloads(tab, done):
    open_scan(tab, done)
    with tab.expect_download() as got:
        tab.get_by_role("link", name="DICOM results").click()
    assert zipfile.ZipFile(got.value.path()).testzip() is None
    with tab.expect_download() as got:
        tab.get_by_role("link", name="Result (JSON)").click()
    assert b'"verdict"' in Path(got.value.path()).read_bytes()
    with tab.context.expect_page() as opened:
        tab.get_by_role("link", name="Report (HTML)").click()
    opened.value.get_by_role("heading", name="7478_73").wait_for()


def test_help_tells_the_keys_and_can_silence_them(tab, done):
    open_scan(tab, done)
    tab.keyboard.press("?")
    dialog = tab.get_by_role("dialog", name="Keys and mouse")
    expect(dialog.get_by_text("Next slice")).to_be_visible()
    dialog.get_by_label("Single keys work").uncheck()
    tab.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    tab.keyboard.press("m")
    expect(tab.get_by_role("button", name="Measure")).to_have_attribute("aria-pressed", "false")


def test_dark_and_light(tab):
    shades = {}
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        tab.goto("/")
        shades[scheme] = picture(tab, "body").mean()
    assert shades["light"] > 200
    assert shades["dark"] < 60


def test_readable_without_seeing(tab, done):
    """Landmarks, a title, and a name for everything that can be used."""
    for path in ("/", f"/read/{done.id}"):
        tab.goto(path)
        tab.wait_for_load_state("networkidle")
        assert tab.locator("html").get_attribute("lang") == "en"
        for landmark in (tab.get_by_role("main"), tab.get_by_role("banner"), tab.get_by_role("heading", level=1)):
            expect(landmark).to_have_count(1)
        for control in tab.locator("button, a, input, select, textarea, [role=slider], canvas").all():
            if control.is_visible():
                assert re.search(r'[\w-]+ "[^"]', control.aria_snapshot()), control.evaluate("one => one.outerHTML")
    tab.keyboard.press("Tab")
    assert tab.evaluate("() => document.activeElement.className") == "skip"


def test_everything_fits_on_a_laptop(tab, done):
    open_scan(tab, done)
    assert tab.evaluate("() => document.documentElement.scrollHeight <= innerHeight")
    assert tab.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    for name in ("#strip", "#decide", "#scan-canvas"):
        box = tab.locator(name).bounding_box()
        assert box["y"] + box["height"] <= 720


def test_failed_and_missing_scans_are_told(tab, queue):
    job = queue.add("fails", origin="node", model="none", source="x", title="Broken", state="running")
    queue.fail(job.id, "has no pixels", final=True)
    tab.goto(f"/read/{job.id}")
    tab.get_by_text("Has no pixels.").wait_for()
    expect(tab.get_by_role("button", name="Screen again")).to_be_visible()
    tab.goto(f"/read/{'0' * 32}")
    tab.get_by_role("heading", name="No such scan").wait_for()


@pytest.fixture
def idle(tmp_path):
    """Give a way to serve a home of its own, in which nothing is screened: ``with idle(token=...) as page``."""
    apart = Home(tmp_path / "apart")
    apart.prepare()
    return lambda **settings: running(apart, PageSettings(**settings))


def test_progress_is_shown_until_the_end(browser, idle):
    with idle() as page:
        tab = browser.new_page(base_url=page.url)
        tab.set_default_timeout(PATIENCE_MS)
        follow(tab, page)
        tab.close()


def follow(tab, page):
    job = page.queue.add("slow", origin="node", model="ct", source="x", title="Slow")
    tab.goto(f"/read/{job.id}")
    tab.get_by_role("heading", name="Waiting").wait_for()
    page.queue.claim("ct")
    page.queue.report_progress(job.id, 0.43)
    tab.locator("#waiting-words", has_text="43 % screened").wait_for()
    expect(tab.get_by_role("progressbar")).to_have_attribute("value", "0.43")
    page.queue.finish(job.id, verdict="clear", score=1.0, p_value=0.5)
    tab.get_by_text("The results of this scan are gone").wait_for()


def test_signing_in(browser, idle):
    with idle(token="a-long-random-token") as page:
        tab = browser.new_page(base_url=page.url)
        tab.set_default_timeout(PATIENCE_MS)
        tab.goto("/")
        tab.wait_for_url("**/login")
        tab.get_by_label("Token").fill("not the token")
        tab.get_by_role("button", name="Sign in").click()
        tab.get_by_text("This is not the token.").wait_for()
        tab.get_by_label("Token").fill("a-long-random-token")
        tab.keyboard.press("Enter")
        tab.get_by_role("heading", name="Worklist").wait_for()
        tab.get_by_role("button", name="Sign out").click()
        tab.wait_for_url("**/login")
        tab.close()


def test_ten_pages_at_once(browser, address, done):
    context = browser.new_context(base_url=address, viewport={"width": 640, "height": 400})
    tabs = [context.new_page() for _ in range(10)]
    for tab in tabs:
        tab.set_default_timeout(PATIENCE_MS)
        tab.goto(f"/read/{done.id}", wait_until="commit")
    for tab in tabs:
        tab.wait_for_selector("#reading:not([hidden]) #loading[hidden]", state="attached")
        expect(tab.get_by_role("button", name="Slice 0:")).to_be_visible()
    context.close()
