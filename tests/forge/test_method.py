import importlib.util

import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge.method import METHODS, load_method


def test_a_method_is_loaded_by_its_name():
    method = load_method("smooth")
    assert method.name == "smooth"
    assert dict(method.settings) == dict(load_method("smooth").settings)


def test_every_method_has_its_module():
    for module in METHODS.values():
        assert importlib.util.find_spec(module) is not None, module


def test_an_unknown_method_is_refused_with_those_there_are():
    with pytest.raises(ForgeError, match=r"no forging method 'magic'. Choose one of gan, diffusion"):
        load_method("magic")


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr("tamperscan.forge.method.METHODS", {"odd": "tamperscan_has_no_such_package"})
    with pytest.raises(ForgeError, match=r"tamperscan_has_no_such_package.*pip install 'tamperscan\[forge\]'"):
        load_method("odd")
