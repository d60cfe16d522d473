"""What fuzzing and reading the code for it have found, and where it is kept from coming back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mended:
    """A defect that is no more.

    Attributes
    ----------
    found_by
        The targets that showed it, or "reading".
    what
        What an input could do.
    places
        Where it came out, as the counters name it; its inputs are counted by them.
    test
        The test that fails if it comes back.
    """

    found_by: str
    what: str
    places: tuple[str, ...]
    test: str


MENDED = (
    Mended(
        "dicom, dicomdir, any-file, zip, zip-names",
        "A header, or a name in a zip, could put line ends and escape codes into messages, and so forge lines of a log",
        ("Defect in oracle.py:check_line", "Defect in read.py:report"),
        "tests/scan/test_hostile.py::test_headers_forge_no_line",
    ),
    Mended(
        "zip, zip-names, any-file",
        "A zip with a member without a name ended the run with an IndexError",
        ("IndexError in collect.py:<listcomp>",),
        "tests/scan/test_hostile.py::test_zip_member_without_a_name",
    ),
    Mended(
        "nifti, any-file",
        "A NIfTI file with an unknown unit was refused as unforeseen (KeyError) instead of read",
        ("KeyError in nifti.py:_header_notes", "ScanError in read.py:report"),
        "tests/scan/test_hostile.py::test_nifti_with_units_that_there_are_not",
    ),
    Mended(
        "nifti",
        "A NIfTI orientation with axes of no direction was refused as unforeseen (KeyError, ValueError)",
        ("KeyError in nifti.py:_canonical", "ValueError in nifti.py:_canonical"),
        "tests/scan/test_hostile.py::test_nifti_with_axes_that_are_none",
    ),
    Mended(
        "dicom-values",
        "A modality look-up table without a descriptor was refused as unforeseen (AttributeError)",
        ("AttributeError in pixels.py:_rescaled",),
        "tests/scan/test_hostile.py::test_look_up_table_without_a_descriptor",
    ),
    Mended(
        "dicom-values",
        "A damaged sequence where a header should hold a text was refused as unforeseen (OSError)",
        ("OSError in attributes.py:<genexpr>",),
        "tests/scan/test_hostile.py::test_a_sequence_in_place_of_a_text",
    ),
    Mended(
        "dicom-values",
        "A header of a kilobyte that claimed 65,535 frames kept the reader busy for a quarter of a minute (a hang)",
        (),
        "tests/scan/test_hostile.py::test_more_frames_than_a_file_has_room_for",
    ),
    Mended(
        "rules",
        "Control characters in a file of rules showed a traceback (yaml.ReaderError)",
        ("ReaderError in yaml_lines.py:read_yaml",),
        "tests/serve/test_rules.py::test_hostile_yaml_is_refused_in_one_line",
    ),
    Mended(
        "reading",
        "Aliases in a file of rules could stand for billions of values, and checking them took as long",
        (),
        "tests/serve/test_rules.py::test_hostile_yaml_is_refused_in_one_line",
    ),
    Mended(
        "head-facts, combination",
        "A detector's self-forged.json and combined.json showed a traceback where they were no such document",
        (
            "JSONDecodeError in self_forged.py:read_facts",
            "UnicodeDecodeError in self_forged.py:read_facts",
            "TypeError in self_forged.py:read_facts",
            "TypeError in heads.py:read_combination",
        ),
        "tests/detect/test_hostile_weights.py",
    ),
    Mended(
        "reading",
        "Headers, NIfTI, NumPy files and zips were parsed in the caller's process, without a limit on memory or time",
        (),
        "tests/scan/test_isolated.py",
    ),
    Mended(
        "reading",
        "The node parsed what it received, and audit what it compared, in its own process without a limit",
        (),
        "tests/serve/test_looking.py",
    ),
    Mended(
        "reading",
        "A peer of the node could announce a PDU of 4 GiB, which was read into memory before anyone knew who it was",
        (),
        "tests/serve/node/test_strict.py::test_a_pdu_that_is_too_long_is_not_read",
    ),
    Mended(
        "reading",
        "Millions of small elements before the UIDs kept the node's receiver busy for minutes",
        (),
        "tests/serve/test_store.py",
    ),
    Mended(
        "reading",
        "The node's and the page's processes looked for Python modules in the folder that they were started in",
        (),
        "tests/serve/test_looking.py::test_no_module_comes_from_the_folder_one_is_in",
    ),
    Mended(
        "reading",
        "A DICOM file with a zip's preamble was opened as a zip; programs in preambles were read without a word, and "
        "copied into forgeries",
        (),
        "tests/scan/test_hostile.py::test_programs_that_are_images_too_are_read_and_told",
    ),
)
