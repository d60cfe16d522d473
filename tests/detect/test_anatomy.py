from __future__ import annotations

import numpy as np
import pytest

from tamperscan.detect.anatomy import CHEST_CT, MR_BODY, anatomy_of
from tamperscan.detect.regions import TISSUES, lung_mask, tissues

from .phantom import PIXEL_MM, chest
from .phantom_mr import SPACING, mr_scan


def test_anatomy_goes_by_modality():
    assert anatomy_of("CT") is CHEST_CT
    assert anatomy_of("MR") is MR_BODY


@pytest.mark.parametrize("anatomy", [CHEST_CT, MR_BODY])
def test_every_tissue_has_a_word(anatomy):
    assert set(anatomy.tissue_words) == set(TISSUES)
    assert anatomy.nothing_found.startswith(f"No {anatomy.region} was found")


def test_chest_ct_is_looked_at_as_it_is():
    hu = chest().hu
    viewer = CHEST_CT.view(hu[None])
    lung = viewer.region(hu, (PIXEL_MM, PIXEL_MM))
    assert np.array_equal(lung, lung_mask(hu, (PIXEL_MM, PIXEL_MM)))
    assert np.array_equal(viewer.tissues(hu, lung).soft, tissues(hu, lung).soft)
    assert viewer.in_hu(hu) is hu
    assert viewer.window is None


def test_mr_is_looked_at_by_its_own_range():
    scan = mr_scan(slices=2)
    viewer = MR_BODY.view(scan.voxels)
    louder = MR_BODY.view(scan.voxels * np.float32(10.0))
    image = scan.voxels[0]
    assert viewer.window.low == 0.0
    assert louder.window.high == pytest.approx(10.0 * viewer.window.high)
    assert np.allclose(viewer.in_hu(image), louder.in_hu(image * np.float32(10.0)), atol=0.1)
    assert viewer.in_hu(image).min() >= -1050.0
    assert viewer.in_hu(image).max() <= 450.0


def test_a_slice_of_a_scan_and_alone_have_nearly_the_same_body():
    scan = mr_scan()
    image = scan.voxels[1]
    in_scan = MR_BODY.view(scan.voxels).region(image, SPACING[1:])
    alone = MR_BODY.view(image[None]).region(image, SPACING[1:])
    assert (in_scan != alone).mean() < 0.02
