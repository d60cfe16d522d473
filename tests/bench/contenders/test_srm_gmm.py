import numpy as np
import pytest

from tamperscan.bench.contenders.contender import Budget, settings_hash
from tamperscan.bench.contenders.cooccurrence import features
from tamperscan.bench.contenders.srm_gmm import SrmGmm, _fit_mixture, _log_likelihood

from .small import SPACING_MM, NoiseCrops, noise, planted, silent


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    contender = SrmGmm(windows=600, components=5, mixture=2)
    contender.learn(NoiseCrops(), Budget(30.0), tmp_path_factory.mktemp("fitted"), silent)
    return contender


@pytest.mark.parametrize("noise_hu", [50.0, 800.0])
def test_other_noise_is_a_surprise(fitted, noise_hu):
    image, box = planted(noise((96, 96), 4), noise_hu)
    energy = fitted.energy(image, SPACING_MM)
    inside = energy[box][8:-8, 8:-8].mean()
    assert inside > 2 * energy[72:, 72:].mean()


def test_the_likelihood_is_that_of_the_mixture(fitted):
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    windows = features(noise((96, 96), 2), 700.0)[1:-1, 1:-1].reshape(-1, 50)
    learned = _fit_mixture(windows, 4, 2, seed=3)
    projected = PCA(4, random_state=3).fit_transform(windows)
    model = GaussianMixture(2, reg_covar=1e-4, random_state=3).fit(projected)
    assert np.allclose(_log_likelihood(windows, learned), model.score_samples(projected), rtol=1e-4, atol=1e-3)


def test_symbols_are_about_equally_frequent(fitted):
    from tamperscan.bench.contenders.cooccurrence import residual

    symbols = np.rint(residual(noise((200, 200), 8)) / float(fitted._learned["quantum"]))
    assert np.mean(symbols == 0) == pytest.approx(1 / 3, abs=0.03)


def test_a_small_budget_still_ends(tmp_path):
    facts = SrmGmm(windows=10**9, components=3, mixture=1).learn(NoiseCrops(), Budget(0.5), tmp_path, silent)
    assert facts["seconds"] < 5
    assert facts["crops"] < 10_000


def test_progress_is_told(tmp_path):
    told = []
    SrmGmm(windows=200, components=3, mixture=1).learn(
        NoiseCrops(), Budget(30.0), tmp_path, lambda *seconds: told.append(seconds)
    )
    assert told
    assert all(0 <= spent <= budget == 30.0 for spent, budget in told)


def test_settings_tell_what_changes_the_result():
    made = (SrmGmm(), SrmGmm(windows=5), SrmGmm(components=5), SrmGmm(mixture=2))
    assert len({settings_hash(each) for each in made}) == 4
