from __future__ import annotations

import re

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tamperscan.errors import ScanError
from tamperscan.scan import Limits, read_scan, read_scans

from .dicom_maker import ENHANCED_MR, dataset, enhanced, hounsfield, plane_at, save, write_slice


def test_file_without_preamble(tmp_path):
    made = dataset(hounsfield(1)[0])
    del made.file_meta
    made.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    assert np.array_equal(read_scan(tmp_path / "bare").voxels, hounsfield(1))


@pytest.mark.parametrize("modality", ["SEG", "RTDOSE", "CR", "US", "PT", "SR"])
def test_other_modalities(tmp_path, modality):
    with pytest.raises(ScanError, match=rf"a\.dcm: is not a CT or MR image \({modality}\)\. Give"):
        read_scan(write_slice(tmp_path / "a.dcm", Modality=modality))


def test_missing_modality_is_told_by_the_sop_class(tmp_path):
    assert read_scan(write_slice(tmp_path / "a.dcm", Modality=None)).modality == "CT"


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"Rows": None}, "Rows is missing"),
        ({"Rows": 0}, "damaged header: 0 rows"),
        ({"BitsAllocated": None}, "BitsAllocated is missing"),
        ({"NumberOfFrames": 0}, "0 frames"),
        ({"NumberOfFrames": -5}, "-5 frames"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "is a colour image"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "is a colour image"),
        ({"PixelData": None}, "has no pixel data"),
        ({"Rows": 4, "Columns": 4}, "is too small: 1 x 4 x 4"),
        ({"Rows": 65535, "Columns": 65535}, "more than the limit"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "is a mosaic"),
        ({"Rows": 200}, "can't be decoded"),
    ],
)
def test_impossible_headers(tmp_path, facts, problem):
    with pytest.raises(ScanError, match=re.escape(problem)):
        read_scan(write_slice(tmp_path / "a.dcm", **facts))


def test_no_image_at_all(tmp_path):
    with pytest.raises(ScanError, match="holds no image"):
        read_scan(write_slice(tmp_path / "a.dcm", Rows=None, Columns=None, PixelData=None))


def test_compressed_data_that_is_cut_short(tmp_path):
    made = dataset(hounsfield(1, 64, 64)[0])
    made.compress("1.2.840.10008.1.2.5")
    path = save(made, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(ScanError, match="cut short"):
        read_scan(path)


def test_deflated_bomb_is_refused(tmp_path):
    made = dataset(np.zeros((512, 512), np.int16), syntax=DeflatedExplicitVRLittleEndian)
    path = save(made, tmp_path / "a.dcm")
    assert read_scan(path).shape == (1, 512, 512)
    with pytest.raises(ScanError, match="unpacks to more than 10000 bytes"):
        read_scan(path, limits=Limits(inflated=10_000))


def test_enhanced_ct(tmp_path):
    made = enhanced(hounsfield(4), [plane_at(z) for z in (6, 2, 0, 4)])
    scan = read_scan(save(made, tmp_path / "a.dcm"))
    assert np.array_equal(scan.voxels, hounsfield(4)[[2, 1, 3, 0]])
    assert scan.spacing_mm == (2.0, 0.5, 0.75)
    assert len(scan.sources) == 1


def test_enhanced_ct_with_its_own_rescale_for_each_frame(tmp_path):
    frames = [
        {
            **plane_at(2 * number),
            "PixelValueTransformationSequence": {"RescaleSlope": number + 1, "RescaleIntercept": -number},
        }
        for number in range(3)
    ]
    scan = read_scan(save(enhanced(hounsfield(3), frames), tmp_path / "a.dcm"))
    for number in range(3):
        assert np.array_equal(scan.voxels[number], hounsfield(3)[number] * (number + 1.0) - number)


def test_enhanced_mr_with_two_echoes(tmp_path):
    frames = [
        {**plane_at(2 * (number % 3)), "MREchoSequence": {"EffectiveEchoTime": 10.0 * (1 + number // 3)}}
        for number in range(6)
    ]
    made = enhanced(hounsfield(6), frames, Modality="MR", SOPClassUID=ENHANCED_MR)
    first, second = read_scans(save(made, tmp_path / "a.dcm"))
    assert np.array_equal(first.voxels, hounsfield(6)[:3])
    assert np.array_equal(second.voxels, hounsfield(6)[3:])


def test_enhanced_stacks_are_volumes_of_their_own(tmp_path):
    frames = [plane_at(2 * number, StackID=str(number // 3)) for number in range(6)]
    scans = read_scans(save(enhanced(hounsfield(6), frames), tmp_path / "a.dcm"))
    assert [scan.shape[0] for scan in scans] == [3, 3]


def test_enhanced_files_of_one_series_at_one_place(tmp_path):
    for seed in (0, 1):
        made = enhanced(hounsfield(4, seed=seed), [plane_at(2 * number) for number in range(4)])
        save(made, tmp_path / f"{seed}.dcm")
    first, second = read_scans(tmp_path)
    assert np.array_equal(first.voxels, hounsfield(4, seed=0))
    assert np.array_equal(second.voxels, hounsfield(4, seed=1))


def test_frames_without_positions_keep_their_order(tmp_path):
    volume = hounsfield(3)
    made = dataset(volume, NumberOfFrames=3, SpacingBetweenSlices=1.5)
    scan = read_scan(save(made, tmp_path / "a.dcm"))
    assert np.array_equal(scan.voxels, volume)
    assert scan.spacing_mm[0] == 1.5
    assert "positions are missing" in scan.warnings[0]
