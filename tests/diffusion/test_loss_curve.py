from PIL import Image

from tamperscan.diffusion.loss_curve import write_loss_curve


def draw(folder, text):
    (folder / "loss.csv").write_text(text)
    write_loss_curve(folder / "loss.csv", folder / "loss.png")
    return folder / "loss.png"


def test_curve_becomes_a_picture(tmp_path):
    with Image.open(draw(tmp_path, "10,0.9,5.0\n20,0.5,10.0\n30,0.4,15.0\n")) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss.csv", "loss.png"]


def test_line_that_was_cut_off_is_left_out(tmp_path):
    whole = draw(tmp_path, "10,0.9,5.0\n20,0.5,10.0\n").read_bytes()
    assert draw(tmp_path, "10,0.9,5.0\n20,0.5,10.0\n30,0.").read_bytes() == whole


def test_step_that_was_made_again_counts_once(tmp_path):
    once = draw(tmp_path, "10,0.9,5.0\n20,0.5,10.0\n").read_bytes()
    assert draw(tmp_path, "10,0.9,5.0\n20,0.7,8.0\n20,0.5,10.0\n").read_bytes() == once


def test_nothing_to_draw(tmp_path):
    assert not draw(tmp_path, "").exists()


def test_no_file(tmp_path):
    write_loss_curve(tmp_path / "loss.csv", tmp_path / "loss.png")
    assert not list(tmp_path.iterdir())
