import numpy as np
from PIL import Image

from tamperscan.bench.gallery import choose, write_gallery
from tamperscan.bench.plan import OURS


def exhibits(compared):
    _, done = compared
    reading = next(each for each in done.collected.readings if each.name == OURS)
    shown = list(choose(done.collected, done.cuts, reading))
    return {name: [each for each in shown if each.chapter == name] for name in ("best", "missed", "worst")}


def test_the_best_are_tampered_and_found(compared):
    best = exhibits(compared)["best"]
    assert best
    assert all(each.case.tampered and each.cut.tampered for each in best)
    assert best[0].case.generator == "flatten"
    scores = [each.score.score for each in best]
    assert scores == sorted(scores, reverse=True)


def test_the_missed_have_the_least_suspicion(compared):
    missed = exhibits(compared)["missed"]
    scores = [each.score.score for each in missed]
    assert scores == sorted(scores)
    assert all(each.cut.tampered for each in missed)


def test_the_worst_are_authentic(compared):
    worst = exhibits(compared)["worst"]
    assert worst
    assert not any(each.case.tampered for each in worst)
    assert "authentic" in worst[0].words


def test_the_page_shows_every_picture(compared, tmp_path):
    folder, done = compared
    page = write_gallery(done.collected, done.cuts, folder / "out" / "slices", tmp_path / "gallery", [OURS])
    pictures = sorted(path.name for path in page.parent.glob("*.png"))
    text = page.read_text()
    assert len(pictures) == sum(map(len, exhibits(compared).values()))
    assert all(f'src="{name}"' in text for name in pictures)
    assert "noise" not in text
    assert str(tmp_path) not in text
    image = np.asarray(Image.open(page.parent / pictures[0]).convert("L"))
    assert image.std() > 20
