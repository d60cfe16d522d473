import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_maker import MR_CLASS, dataset, enhanced, hounsfield, item, plane_at, save, write_series, write_slice
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from tamperscan.errors import ForgeError
from tamperscan.forge.dicom_output import write_dicom
from tamperscan.scan import read_scan
from tamperscan.scan.sources import FileSource

from .toy import forged


def written(path, tmp_path, **changes):
    """Forge what lies there, write it, and read it back: authentic scan, forgery, mask, what was read."""
    scan, forgery = forged(path, **changes)
    out = tmp_path / "out"
    out.mkdir()
    mask = write_dicom(forgery, [FileSource(Path(name)) for name in scan.sources], out)
    return scan, forgery, mask, read_scan(out)


def assert_same(scan, forgery, mask, again):
    assert np.array_equal(again.voxels, forgery.scan.voxels)
    assert np.array_equal(mask, forgery.mask)
    assert again.spacing_mm == scan.spacing_mm
    assert np.allclose(again.affine, scan.affine)
    assert again.sha256 == forgery.record.sha256


def test_a_series_comes_back_as_it_was_forged(tmp_path):
    # File names in another order than the slices.
    path = write_series(tmp_path / "study", order=[3, 0, 4, 1, 2], origin=(5, 6, 7))
    scan, forgery, mask, again = written(path, tmp_path)
    assert_same(scan, forgery, mask, again)
    assert [name[-15:] for name in again.sources] == [f"forged_{number:04}.dcm" for number in range(1, 6)]


def test_pydicom_reads_it_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.WARN)
    written(write_series(tmp_path / "study"), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = pydicom.dcmread(tmp_path / "out" / "forged_0001.dcm")
        str(image)
        image.walk(lambda _, element: element.value)


def test_values_that_were_not_altered_keep_their_bits(tmp_path):
    # The four upper bits hold what old files kept there.
    overlay = hounsfield(5).astype(np.int32) + 1024
    stored = (overlay & 0x0FFF | 0x3000).astype(np.uint16)
    facts = {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": -1024}
    scan, forgery, mask, again = written(write_series(tmp_path / "study", stored, **facts), tmp_path)
    assert_same(scan, forgery, mask, again)
    for index in range(5):
        image = pydicom.dcmread(tmp_path / "out" / f"forged_{index + 1:04}.dcm")
        kept = np.frombuffer(image.PixelData, "<u2").reshape(20, 24)
        assert np.array_equal(kept[~mask[index]], stored[index][~mask[index]])


def test_values_stay_within_the_bits(tmp_path):
    stored = np.full((5, 20, 24), 100, np.uint16)
    stored[:, 0, 0] = 4095
    stored[:, 0, 1] = 0
    facts = {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": -1024, "PixelPaddingValue": 0}
    _, _, _, again = written(write_series(tmp_path / "study", stored, **facts), tmp_path, value=9000.0)
    assert again.voxels.max() == 3071


@pytest.mark.parametrize(
    "facts",
    [
        {"RescaleSlope": 2, "RescaleIntercept": -24},
        {"RescaleSlope": 0.5, "RescaleIntercept": -8},
        {"BitsStored": 12, "HighBit": 13, "RescaleIntercept": -1024, "RescaleSlope": 1},
        {"PixelPaddingValue": -2000},
        {"RescaleType": "US"},
    ],
)
def test_values_go_back_the_way_they_came(tmp_path, facts):
    stored = hounsfield(5)
    if facts.get("HighBit") == 13:
        stored = ((stored.astype(np.int32) + 1024) << 2).astype(np.uint16)
    scan, forgery, mask, again = written(write_series(tmp_path / "study", stored, **facts), tmp_path)
    assert np.abs(again.voxels - forgery.scan.voxels).max() <= facts.get("RescaleSlope", 1) / 2
    assert np.array_equal(again.voxels != scan.voxels, mask)


def test_inverted_mr_comes_back(tmp_path):
    stored = hounsfield(5).astype(np.int32) + 1024
    facts = {"Modality": "MR", "SOPClassUID": MR_CLASS, "PhotometricInterpretation": "MONOCHROME1"}
    facts |= {"BitsStored": 12, "HighBit": 11, "RescaleSlope": None, "RescaleIntercept": None}
    path = write_series(tmp_path / "study", stored.astype(np.uint16), **facts)
    assert_same(*written(path, tmp_path, value=3000.0))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_compressed_series_are_written_uncompressed(tmp_path, syntax):
    plane = (hounsfield(1, 64, 64)[0] + 1024).astype(np.uint16)
    made = dataset(plane, BitsStored=12, HighBit=11, RescaleIntercept=-1024)
    made.compress(syntax)
    path = save(made, tmp_path / "study" / "one.dcm")
    assert_same(*written(path, tmp_path))
    image = pydicom.dcmread(tmp_path / "out" / "forged_0001.dcm")
    assert not image.file_meta.TransferSyntaxUID.is_encapsulated
    assert pixel_array(image).shape == (64, 64)


def test_implicit_files_become_explicit(tmp_path):
    path = write_series(tmp_path / "study", syntax=ImplicitVRLittleEndian)
    assert_same(*written(path, tmp_path))


def test_big_endian_files_become_little(tmp_path):
    plane = hounsfield(1)[0]
    path = save(dataset(plane.astype(">i2"), syntax=ExplicitVRBigEndian), tmp_path / "study" / "one.dcm")
    assert_same(*written(path, tmp_path))


def test_multi_frame_files_stay_whole(tmp_path):
    # Frames from head to feet, as they lie in the file.
    made = enhanced(hounsfield(5), [plane_at(z) for z in (8, 6, 4, 2, 0)])
    path = save(made, tmp_path / "study.dcm")
    assert_same(*written(path, tmp_path))
    assert pydicom.dcmread(tmp_path / "out" / "forged_0001.dcm").NumberOfFrames == 5


def test_a_look_up_table_is_refused(tmp_path):
    table = item(LUTDescriptor=[2048, 0, 16], LUTData=np.arange(2048, dtype=np.uint16).tobytes())
    stored = (hounsfield(1)[0] + 1024).astype(np.uint16)
    facts = {"RescaleSlope": None, "RescaleIntercept": None, "ModalityLUTSequence": [table]}
    path = write_slice(tmp_path / "study" / "one.dcm", stored, **facts)
    with pytest.raises(ForgeError, match="look-up table"):
        written(path, tmp_path)


def test_files_that_are_gone_or_others_are_refused(tmp_path):
    path = write_series(tmp_path / "study")
    scan, forgery = forged(path)
    with pytest.raises(ForgeError, match="can't be written again as one series"):
        write_dicom(forgery, [FileSource(Path(name)) for name in scan.sources[:3]], tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "ct/series/LIDC-IDRI-0001_STANDARD/0080.dcm",
        "ct/series/Lung_Dx-A0002_B40f",
        "mr/series/STS_001_AXIAL_SE_T2_FAT_SAT_-_RESEARCH",
    ],
)
def test_real_scans_come_back_as_they_were_forged(real_scans, tmp_path, name):
    assert_same(*written(real_scans / name, tmp_path))
