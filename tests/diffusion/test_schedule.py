import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unet_reference import published_numbers

from tamperscan.diffusion.schedule import (
    SCHEDULES,
    LowNoise,
    NoiseSchedule,
    noise_schedule,
    schedule_of,
)

names = st.sampled_from(sorted(SCHEDULES))
lengths = st.integers(min_value=25, max_value=1500)


@pytest.mark.parametrize(("name", "hounsfield"), [("sigmoid", 23.4), ("linear", 13.5), ("cosine", 8.7)])
def test_level_zero_of_the_published_ct_window(name, hounsfield):
    assert noise_schedule(name).sigma_in_units(0, 1350.0) == pytest.approx(hounsfield, abs=0.05)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_like_the_library(name):
    published = NoiseSchedule("library", published_numbers("1.8.3")[f"betas_{name}"])
    ours = noise_schedule(name)
    # The library rounds two constants of the sigmoid to float32, which shows where next to nothing is left.
    np.testing.assert_allclose(ours.betas[:990], published.betas[:990], rtol=1e-5)
    np.testing.assert_allclose(ours.betas, published.betas, atol=1e-4)
    np.testing.assert_allclose(ours.alphas_cumprod, published.alphas_cumprod, atol=1e-6)


def test_level_zero_is_the_first_variance():
    schedule = noise_schedule("sigmoid")
    assert schedule.sigma(0) == pytest.approx(np.sqrt(schedule.betas[0]))


@settings(max_examples=30, deadline=None)
@given(names, lengths)
def test_variances_are_variances_and_the_image_fades(name, length):
    schedule = noise_schedule(name, length)
    assert schedule.timesteps == length
    assert np.all((schedule.betas > 0) & (schedule.betas <= 1))
    assert np.all(np.diff(schedule.alphas_cumprod) < 0)
    sigmas = [schedule.sigma(t) for t in range(length)]
    assert np.all(np.diff(sigmas) >= 0)
    assert np.all(np.diff([schedule.noise_to_signal(t) for t in range(length)]) > 0)


@settings(max_examples=30, deadline=None)
@given(names, lengths, st.integers(0, 24))
def test_posterior_mean_of_a_clean_image_is_the_cleaner_image(name, length, t):
    # Without noise x_t = sqrt(abar_t) x, and the level before has to come out as sqrt(abar_{t-1}) x.
    schedule = noise_schedule(name, length)
    before = schedule.posterior_mean_coef_start[t]
    before += schedule.posterior_mean_coef_image[t] * np.sqrt(schedule.alphas_cumprod[t])
    assert before == pytest.approx(np.sqrt(schedule.alphas_cumprod_prev[t]))


@settings(max_examples=30, deadline=None)
@given(names, lengths)
def test_posterior_keeps_the_variance_of_the_level_before(name, length):
    # The noise that x_t passes on and the noise that is added make up 1 - abar_{t-1} (Ho et al., eq. 6).
    schedule = noise_schedule(name, length)
    passed_on = schedule.posterior_mean_coef_image**2 * (1 - schedule.alphas_cumprod)
    np.testing.assert_allclose(passed_on + schedule.posterior_variance, 1 - schedule.alphas_cumprod_prev, atol=1e-12)


def test_first_step_ends_in_the_predicted_start():
    schedule = noise_schedule("sigmoid")
    assert schedule.posterior_mean_coef_start[0] == pytest.approx(1.0)
    assert schedule.posterior_mean_coef_image[0] == 0.0
    assert schedule.posterior_variance[0] == 0.0


@given(names, st.integers(0, 998))
def test_nearest_level_finds_its_own_sigma(name, t):
    schedule = noise_schedule(name)
    assert schedule.nearest_level(schedule.sigma_in_units(t, 1350.0), 1350.0) == t


def test_level_out_of_range():
    with pytest.raises(ValueError, match="levels 0 to 999"):
        noise_schedule("sigmoid").sigma(-1)


def test_unknown_schedule_names_the_known_ones():
    with pytest.raises(ValueError, match="sigmoid, linear, cosine"):
        noise_schedule("quadratic")


@pytest.mark.parametrize("betas", [[], [[0.1]], [0.1, 0.0], [0.1, 1.1], [np.nan]])
def test_what_is_no_schedule(betas):
    with pytest.raises(ValueError, match="schedule"):
        NoiseSchedule("own", np.array(betas))


def test_a_schedule_cannot_be_changed():
    mine = np.array([0.1, 0.2])
    schedule = NoiseSchedule("own", mine)
    mine[0] = 0.5
    assert schedule.betas[0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        schedule.alphas_cumprod[0] = 0.0


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("length", [250, 1000])
def test_schedule_is_recognised_from_float32(name, length):
    found = schedule_of(noise_schedule(name, length).betas.astype(np.float32))
    assert found is not None
    assert (found.name, found.timesteps) == (name, length)


@pytest.mark.parametrize("betas", [[], [[0.1]], np.linspace(2e-4, 0.02, 1000)])
def test_other_variances_are_not_recognised(betas):
    assert schedule_of(betas) is None


def test_low_noise_is_even_over_the_logarithm():
    levels = LowNoise(sigma_min=3.0, sigma_max=200.0)
    drawn = levels.sample(np.random.default_rng(0), 20_000)
    place = np.log(drawn / 3.0) / np.log(200.0 / 3.0)
    assert drawn.shape == (20_000,)
    np.testing.assert_allclose(np.quantile(place, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.02)


@given(st.floats(0.1, 50), st.floats(1.01, 100), st.integers(0, 2**32 - 1))
def test_low_noise_keeps_to_its_bounds(sigma_min, ratio, seed):
    levels = LowNoise(sigma_min, sigma_min * ratio)
    drawn = levels.sample(np.random.default_rng(seed), 50)
    assert np.all((drawn >= levels.sigma_min) & (drawn <= levels.sigma_max))


@pytest.mark.parametrize("bounds", [(0.0, 10.0), (10.0, 3.0), (3.0, 3.0), (3.0, np.inf)])
def test_low_noise_bounds_have_to_rise(bounds):
    with pytest.raises(ValueError, match="Noise bounds"):
        LowNoise(*bounds)
