from dicom_maker import write_slice

from tamperscan.scan.forged import REMARK


def test_forged_images_never_leave(tamperscan, tmp_path):
    write_slice(tmp_path / "forged.dcm", SeriesDescription=f"{REMARK}: gan")
    outcome = tamperscan("push", str(tmp_path / "forged.dcm"), "--to", "http://127.0.0.1:9")
    assert outcome.returncode == 3
    assert "was forged by tamperscan" in outcome.stderr


def test_a_folder_without_dicom_files_is_wrong_usage(tamperscan, tmp_path):
    assert tamperscan("push", str(tmp_path), "--to", "http://127.0.0.1:9").returncode == 2
