import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unet_reference import SMALL_DIM, library, published_numbers, with_seeded_weights

from tamperscan.diffusion.reverse_step import back_in_time, predicted_start, removed
from tamperscan.diffusion.schedule import noise_schedule

SIGMOID = noise_schedule("sigmoid")


def image_and_noise(seed=0, spread=0.5):
    rng = np.random.default_rng(seed)
    x0 = rng.uniform(-spread, spread, (2, 8, 8)).astype(np.float32)
    return x0, rng.standard_normal(x0.shape).astype(np.float32)


def test_published_closed_form():
    x0, eps = image_and_noise()
    np.testing.assert_allclose(removed(x0, eps, SIGMOID), 0.01733 * eps - 0.00015 * x0, atol=1e-5)


def test_removed_is_the_step_itself():
    x0, eps = image_and_noise()
    np.testing.assert_allclose(removed(x0, eps, SIGMOID), x0 - back_in_time(x0, eps, SIGMOID), atol=1e-6)


def test_like_the_step_of_the_library():
    published = published_numbers("1.8.3")
    step = back_in_time(published["image"], published["noise_0"], SIGMOID)
    np.testing.assert_allclose(step, published["step_0"], atol=1e-5)
    assert np.any(np.abs(published["step_0"]) == 1.0), "the example has to reach the clamp"


def test_like_the_mean_of_the_library_later_on():
    published = published_numbers("1.8.3")
    step = back_in_time(published["image"], published["noise_500"], SIGMOID, 500)
    np.testing.assert_allclose(step, published["mean_500"], atol=1e-5)


def test_like_the_library_itself():
    torch = pytest.importorskip("torch")
    try:
        source = library()
    except ImportError as missing:
        pytest.skip(f"denoising_diffusion_pytorch can't be imported here: {missing}")
    network = with_seeded_weights(source.Unet(SMALL_DIM, channels=1))
    diffusion = source.GaussianDiffusion(network, image_size=32, objective="pred_noise")
    image = torch.rand(2, 1, 32, 32) * 2 - 1
    with torch.no_grad():
        noise = network(image, torch.zeros(2)).numpy()
        step, _ = diffusion.p_sample(image, 0)
    np.testing.assert_allclose(back_in_time(image.numpy(), noise, SIGMOID), step.numpy(), atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["sigmoid", "linear", "cosine"]), st.integers(0, 900), st.integers(0, 99))
def test_removed_is_the_step_at_any_level(name, t, seed):
    schedule = noise_schedule(name)
    x0, eps = (array.astype(np.float64) for array in image_and_noise(seed))
    step = x0 - back_in_time(x0, eps, schedule, t, clip=False)
    np.testing.assert_allclose(removed(x0, eps, schedule, t), step, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 900), st.integers(0, 99))
def test_right_noise_gives_the_clean_image_back(t, seed):
    clean, eps = (array.astype(np.float64) for array in image_and_noise(seed))
    abar = SIGMOID.alphas_cumprod[t]
    noisy = np.sqrt(abar) * clean + np.sqrt(1 - abar) * eps
    np.testing.assert_allclose(predicted_start(noisy, eps, SIGMOID, t), clean, atol=1e-9)


def test_first_step_is_the_predicted_start():
    x0, eps = image_and_noise()
    np.testing.assert_allclose(back_in_time(x0, eps, SIGMOID), predicted_start(x0, eps, SIGMOID), atol=1e-7)


def test_predicted_start_is_clamped_unless_told():
    x0 = np.full((1, 2, 2), 0.999)
    eps = np.full((1, 2, 2), -1.0)
    assert np.all(back_in_time(x0, eps, SIGMOID) == 1.0)
    assert np.all(back_in_time(x0, eps, SIGMOID, clip=False) > 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_type_of_the_image_is_kept(dtype):
    x0, eps = (array.astype(dtype) for array in image_and_noise())
    assert back_in_time(x0, eps, SIGMOID).dtype == dtype
    assert removed(x0, eps, SIGMOID).dtype == dtype


@pytest.mark.parametrize("step", [predicted_start, back_in_time, removed])
def test_shapes_have_to_agree(step):
    with pytest.raises(ValueError, match="one shape"):
        step(np.zeros((1, 8, 8)), np.zeros((8, 8)), SIGMOID)


@pytest.mark.parametrize("step", [predicted_start, back_in_time, removed])
@pytest.mark.parametrize("t", [-1, 1000])
def test_level_has_to_exist(step, t):
    with pytest.raises(ValueError, match=f"Level {t}"):
        step(np.zeros((8, 8)), np.zeros((8, 8)), SIGMOID, t)
