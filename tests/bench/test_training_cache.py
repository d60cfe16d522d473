import json

import numpy as np
import pytest

from tamperscan.bench.contenders.contender import Budget
from tamperscan.bench.training_cache import key_of, make_ready, read_facts

from .toys import LocalNoise


class Crops:
    modality = "CT"
    data = "0123"

    def draw(self, rng, count, side):
        return rng.normal(-850, 25, (count, side, side)).astype(np.float32)


BUDGET = Budget(10.0, 3)


def ready(contender, folder, report=lambda spent, total: None, budget=BUDGET):
    return make_ready(contender, Crops(), budget, folder, report)


def test_what_was_trained_is_taken_from_the_cache(tmp_path):
    first, second = LocalNoise(), LocalNoise()
    trained = ready(first, tmp_path)
    again = ready(second, tmp_path)
    assert (first.learned_steps, second.learned_steps) == (20, 0)
    assert (trained.reused, again.reused) == (False, True)
    assert trained.facts == again.facts
    assert trained.key == again.key
    assert second._level == first._level


def test_an_interrupted_training_goes_on(tmp_path):
    def stop(spent, total):
        if spent > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ready(LocalNoise(), tmp_path, stop)
    rest, whole = LocalNoise(), LocalNoise()
    facts = ready(rest, tmp_path).facts
    assert 0 < rest.learned_steps < 20
    assert facts == ready(whole, tmp_path / "other").facts


def test_whatever_decides_the_outcome_is_in_the_key():
    contender, other = LocalNoise(), LocalNoise()
    other.settings = {"steps": 21}
    keys = {
        key_of(contender, "data", BUDGET),
        key_of(contender, "other data", BUDGET),
        key_of(contender, "data", Budget(11.0, 3)),
        key_of(contender, "data", Budget(10.0, 4)),
        key_of(LocalNoise("another"), "data", BUDGET),
        key_of(other, "data", BUDGET),
    }
    assert len(keys) == 6
    assert all(key.startswith(("noise-", "another-")) for key in keys)


@pytest.mark.parametrize("content", ["", "{", "[1]", None])
def test_without_whole_facts_nothing_is_finished(tmp_path, content):
    if content is not None:
        (tmp_path / "facts.json").write_text(content)
    assert read_facts(tmp_path) is None
    (tmp_path / "facts.json").write_text(json.dumps({}))
    assert read_facts(tmp_path) == {}
