"""The scripts and settings of the how-tos, run in a real Orthanc or read as they are read for real."""

import contextlib
import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from dicom_maker import dataset, hounsfield, save
from orthanc import free_port, missing_parts, running_orthanc
from pydicom import dcmread

from tamperscan.serve.rules import read_rules

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "how-to" / name for name in ("orthanc.md", "pacs.md")]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


SERIES_SCRIPT, STUDY_SCRIPT = blocks(PAGES[0], "lua")


@contextlib.contextmanager
def running_storescp(folder):
    """DCMTK's receiver, which keeps what it gets; gives its port."""
    folder.mkdir()
    port = free_port()
    command = ["storescp", "--accept-all", "--output-directory", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def study(tmp_path):
    """Two CT images and a picture of another modality."""
    names = {"StudyInstanceUID": "1.2.3", "PatientID": "seven"}
    images = [
        dataset(plane, SOPInstanceUID=f"1.2.3.1.{number}", SeriesInstanceUID="1.2.3.1", **names)
        for number, plane in enumerate(hounsfield(2))
    ]
    picture = dataset(hounsfield(1)[0], SOPInstanceUID="1.2.3.2.1", SeriesInstanceUID="1.2.3.2", Modality="OT", **names)
    picture.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    return [save(image, tmp_path / f"{number}.dcm") for number, image in enumerate([*images, picture])]


@pytest.mark.skipif(bool(missing_parts()), reason=missing_parts())
@pytest.mark.parametrize("script", [SERIES_SCRIPT, STUDY_SCRIPT], ids=["series", "study"])
def test_scripts_send_images_and_nothing_else(script, study, tmp_path):
    (tmp_path / "route.lua").write_text(script)
    with running_storescp(tmp_path / "received") as port:
        others = {"modalities": {"tamperscan": ("TAMPERSCAN", port)}, "LuaScripts": [str(tmp_path / "route.lua")]}
        with running_orthanc(tmp_path / "orthanc", **others) as orthanc:
            orthanc.send(*study)
            received = tmp_path / "received"
            end = time.monotonic() + 30
            while len(list(received.iterdir())) < 2:
                assert time.monotonic() < end, orthanc.log()[-2000:]
                time.sleep(0.1)
            time.sleep(1.5)  # longer than StableAge
            jobs = orthanc.get("/jobs", expand="")
    assert sorted(dcmread(path).SOPInstanceUID for path in received.iterdir()) == ["1.2.3.1.0", "1.2.3.1.1"]
    assert [job["State"] for job in jobs] == ["Success"]


def test_the_script_on_the_page_is_the_packaged_one():
    packaged = (ROOT / "docker" / "route.lua").read_text()
    (receiver,) = re.findall(r"local receiver = '(\w+)'", packaged)
    function = packaged[packaged.index("function") :].replace(
        "'/modalities/' .. receiver .. '/", f"'/modalities/{receiver}/"
    )
    assert function == SERIES_SCRIPT


def authority():
    """A certificate in PEM, as a site has one."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    from signer import certificate_of, new_rsa_key

    return certificate_of(new_rsa_key()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_rules_on_the_pages_are_rules(page, tmp_path):
    path = tmp_path / "node.yaml"
    whole = [text for text in blocks(page, "yaml") if "rules:" in text]
    assert whole
    for text in whole:
        path.write_text(text)
        read_rules(path)
    for number, text in enumerate(blocks(page, "yaml")):
        if "rules:" not in text:
            files = re.findall(r"/etc/tamperscan/[\w.-]+", text)
            for name in files:
                (tmp_path / Path(name).name).write_bytes(authority())
            here = text.replace("/etc/tamperscan", str(tmp_path))
            path.write_text(f"{here}rules:\n  - {{name: part {number}}}\n")
            read_rules(path)


def test_the_settings_on_the_page_are_json():
    assert [json.loads(text) for text in blocks(PAGES[0], "json")]
