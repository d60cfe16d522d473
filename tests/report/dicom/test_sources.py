from tamperscan.report.dicom.sources import from_dicom, read_sources


def test_headers_hold_nothing_of_the_patient(series):
    sources = read_sources(series(2))
    for header in sources.images:
        assert "Doe" not in header.to_json()
        assert "JD-7" not in header.to_json()
    assert sources.identity.PatientID == "JD-7"


def test_geometry_is_that_of_the_images(series):
    sources = read_sources(series(3))
    assert sources.spacing == (0.8, 0.7)
    assert (sources.thickness, sources.step) == (2.5, 2.5)
    assert [slice_.position for slice_ in sources.slices] == [(-20.0, -30.0, 2.5 * index) for index in range(3)]
    assert sources.unplaced == ""


def test_an_uneven_step_is_none(series):
    scan = series(3, each=lambda index: {"ImagePositionPatient": [0, 0, [0, 2.5, 5.2][index]]})
    assert read_sources(scan).step is None


def test_several_frames_of_reference(series):
    scan = series(2, each=lambda index: {"FrameOfReferenceUID": f"2.25.{index + 1}"})
    assert read_sources(scan).unplaced == "The images name more than one frame of reference."


def test_what_was_read_from_dicom(series, make_scan):
    assert from_dicom(series(1))
    assert not from_dicom(make_scan())
