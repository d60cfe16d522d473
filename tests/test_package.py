"""The package as a whole: what a plain install needs, and what it brings."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

import tamperscan
from tamperscan.data import packaged_weights, sample_path, weights_path
from tamperscan.diffusion.gpu import _NEEDED, torch_may_have_gpu
from tamperscan.errors import WeightsError

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tamperscan"
NETWORKS = ("unet", "published", "ema", "train", "student", "head", "head_training", "head_export", "loading")
ON_GPU = ("torch_graph", "torch_operators", "torch_runtime")
TORCH_ONLY = {f"diffusion/{name}.py" for name in (*NETWORKS, *ON_GPU, "state", "hardware", "checkpoint", "export")}
TRAINING = ("torch", "accelerate", "safetensors", "onnx", "onnxscript")
HEAVY = ("numpy", "scipy", "matplotlib", "onnxruntime", "pydicom", "nibabel", "pydantic", "rich", *TRAINING)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

modules = pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix()
)


def modules_loaded_by(program):
    """Names of the modules that a program loads."""
    run = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint('loaded', *sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.splitlines()[-1].split())


def loaded_by(program):
    """Names of the top-level modules that a program loads."""
    return {name.partition(".")[0] for name in modules_loaded_by(program)}


def test_import_is_light():
    loaded = loaded_by("import tamperscan")
    assert "tamperscan" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)


def test_public_names_need_no_torch():
    loaded = loaded_by("import tamperscan\nfor name in tamperscan.__all__: getattr(tamperscan, name)")
    assert "onnxruntime" in loaded
    assert loaded.isdisjoint(TRAINING), loaded & set(TRAINING)


@pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
@pytest.mark.skipif(torch_may_have_gpu(), reason="there is a GPU, which torch is loaded for")
def test_screening_needs_no_torch_and_nothing_that_takes_long_to_load():
    loaded = modules_loaded_by(
        "import tamperscan\nfrom tamperscan.data import sample_path\n"
        "tamperscan.load_detector('ct').screen(tamperscan.read_scan(sample_path()))"
    )
    assert loaded.isdisjoint({*TRAINING, "scipy.stats"}), loaded & {*TRAINING, "scipy.stats"}


def imports_at_load(path):
    """Top-level packages that a module imports when it is loaded (not inside functions or for types alone)."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@modules
def test_torch_is_imported_only_where_it_is_said(path):
    place = path.relative_to(SOURCE)
    if place.as_posix() not in TORCH_ONLY and place.parts[0] not in ("bench", "forge"):
        assert set(imports_at_load(path)).isdisjoint(TRAINING)


@modules
def test_every_module_says_what_it_is(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert not re.search(r"TODO|FIXME|XXX", docstring)
    assert docstring.splitlines()[0].endswith((".", "::", ":"))


def test_every_public_name_exists():
    for name in tamperscan.__all__:
        assert getattr(tamperscan, name).__name__ == name
    assert set(tamperscan.__all__) <= set(dir(tamperscan))


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tamperscan.nothing  # noqa: B018


def test_package_is_typed():
    assert files("tamperscan").joinpath("py.typed").is_file()


def test_sample_comes_with_its_attribution():
    text = (sample_path().parent / "ATTRIBUTION.md").read_text()
    for fact in (sample_path().name, "10.24432/C5J318", "CC BY 4.0", "x = ", "y = "):
        assert fact in text


@pytest.mark.parametrize("name", packaged_weights())
def test_packaged_weights_are_unaltered_and_small(name):
    from tamperscan.diffusion.weights import open_weights

    weights = open_weights(weights_path(name))
    assert weights.card.licence
    assert sum(path.stat().st_size for path in weights.folder.iterdir()) < 20e6


def test_weights_that_do_not_come_with_it():
    with pytest.raises(WeightsError, match=r"no packaged weights 'nothing'\. Choose|holds no weights"):
        weights_path("nothing")


def names_of(requirements):
    return {re.split(r"[<>=\[; ]", requirement)[0].lower() for requirement in requirements}


def test_plain_install_has_no_training_package():
    assert names_of(PROJECT["dependencies"]).isdisjoint(TRAINING)


def test_extras():
    extras = PROJECT["optional-dependencies"]
    assert names_of(extras["train"]) == set(TRAINING)
    assert names_of(extras["gpu"]) == set(_NEEDED)
    assert {"pytest", "ruff", "mypy"} <= names_of(extras["dev"])


def test_constraints_pin_torch():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    assert len([pin for pin in pins if pin.startswith("torch==")]) == 1


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_licence_files_are_packaged(name):
    assert name in PROJECT["license-files"]
    assert (ROOT / name).read_text().strip()
