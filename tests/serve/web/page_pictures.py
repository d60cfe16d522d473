"""Pictures of every view of the page, to be looked at: ``make bench-page``.

Starts a real `tamperscan serve`, lets it screen the packaged sample and scans of the data folder, one of them repeated
to 300 slices, and takes each view on a laptop's screen, light and dark. Prints how long each scan took to be shown.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from page_server import BROWSER_FLAGS, find_browser
from playwright.sync_api import Page, sync_playwright

from tamperscan.data import sample_path
from tamperscan.report.nifti import ras_affine
from tamperscan.scan import read_scan
from tamperscan.serve.home import Home
from tamperscan.serve.queue import Queue

SCREEN = {"width": 1280, "height": 720}
LONG = 300
PATIENCE_SECONDS = 1800
SCANS = (
    "ct/series/LIDC-IDRI-0001_STANDARD",
    "mr/series/1449c1d_SAG_MPRAGE_220_FOV",
    "odd/CT_1.2.840.10008.1.2.1_73af17.dcm",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/bench-page"))
    parser.add_argument("--home", type=Path, help="A home to use again; a new one in OUT if not given.")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    home = Home((chosen.home or chosen.out / "home").absolute())
    home.prepare()
    scans = [sample_path(), *(chosen.data / name for name in SCANS if (chosen.data / name).exists())]
    longest = chosen.data / SCANS[0]
    if longest.exists():
        scans.append(long_scan(longest, chosen.out / "long.nii.gz"))
    add_states(home)
    with serving(home, scans) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_browser(), args=BROWSER_FLAGS)
        for scheme in ("light", "dark"):
            tab = browser.new_page(base_url=address, viewport=SCREEN, color_scheme=scheme)
            tab.set_default_timeout(PATIENCE_SECONDS * 1000)
            take_all(tab, address, lambda name, scheme=scheme: chosen.out / f"{name}-{scheme}.png")
            tab.close()
        browser.close()
    print(f"The pictures are in {chosen.out}. Look at them.")


def long_scan(series: Path, path: Path) -> Path:
    """Write a series, forth and back until it has 300 slices, as NIfTI."""
    if not path.exists():
        scan = read_scan(series)
        there_and_back = np.concatenate([scan.voxels, scan.voxels[::-1]])
        voxels = np.concatenate([there_and_back] * 3)[:LONG].astype(np.int16)
        nib.save(nib.Nifti1Image(voxels.transpose(2, 1, 0), ras_affine(scan)), path)
    return path


def add_states(home: Home) -> None:
    """Add jobs in the states that last, and enough of them for a second page."""
    queue = Queue(home)
    facts = {"origin": "node", "model": "none", "source": "x", "modality": "CT", "sender": "CT_SCANNER1"}
    queue.add("skipped", title="Topogram 0.6", state="skipped", note="Fewer slices than the rule asks for.", **facts)
    job = queue.add("failed", title="Abdomen 3.0", state="running", **facts)
    queue.fail(job.id, "took more memory than a worker may have. Allow more, then try again", final=True)
    for number in range(60):
        job = queue.add(f"done {number}", title=f"Chest {number} 1.0 B30f", state="running", **facts)
        verdict = ("clear", "clear", "suspicious", "abstained")[number % 4]
        queue.finish(job.id, verdict=verdict, score=None if verdict == "abstained" else 7.1, p_value=0.3)
    queue.database.close()


@contextmanager
def serving(home: Home, scans: list[Path]) -> Iterator[str]:
    command = [sys.executable, "-m", "tamperscan", "serve", *map(str, scans), "--home", str(home.root), "--port", "0"]
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings) as server:
        assert server.stdout is not None
        try:
            yield re.search(r"http://[^/]+", server.stdout.readline()).group()  # type: ignore[union-attr]
        finally:
            server.terminate()


def take_all(tab: Page, address: str, place: object) -> None:
    take = lambda name: tab.screenshot(path=place(name))  # type: ignore[operator]  # noqa: E731
    tab.goto("/")
    tab.wait_for_selector("#rows tr")
    take("worklist")
    tab.get_by_label("Search").fill("nothing has this name")
    tab.get_by_text("No scan meets these filters.").wait_for()
    take("worklist-empty")
    for job in httpx.get(f"{address}/api/jobs", params={"text": "abdomen"}, trust_env=False).json()["items"]:
        tab.goto(f"/read/{job['id']}")
        tab.wait_for_selector("#retry:not([hidden])")
        take("failed")
    for job in waiting_for_results(address):
        show(tab, job)
        name = re.sub(r"\W+", "-", job["title"])
        take(f"scan-{name}")
        if job["verdict"] == "suspicious":
            tab.get_by_label("Residual").check()
            tab.wait_for_timeout(3000)
            take(f"scan-{name}-residual")
            tab.keyboard.press("?")
            take("help")


def waiting_for_results(address: str) -> Iterator[dict[str, str]]:
    """Give the jobs of this page as they are done."""
    given: set[str] = set()
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = httpx.get(f"{address}/api/jobs", params={"limit": 500}, trust_env=False, timeout=60).json()["items"]
        pages = [job for job in found if job["origin"] == "page"]
        for job in pages:
            if job["state"] == "done" and job["id"] not in given:
                given.add(job["id"])
                yield job
        if all(job["state"] in ("done", "failed") for job in pages) and len(given) >= sum(
            j["state"] == "done" for j in pages
        ):
            return
        time.sleep(1)


def show(tab: Page, job: dict[str, str]) -> None:
    began = time.monotonic()
    tab.goto(f"/read/{job['id']}")
    tab.wait_for_selector("#reading:not([hidden]) #loading[hidden]", state="attached")
    print(f"{job['title']}: shown after {time.monotonic() - began:.1f} s", flush=True)
    tab.wait_for_timeout(1000)


if __name__ == "__main__":
    main()
