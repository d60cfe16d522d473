"""What a forging method is, and the methods there are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, cast

import numpy as np

from tamperscan.errors import ForgeError
from tamperscan.forge.site import Site, Voxels

Action = Literal["inject", "remove"]
ACTIONS: Final = ("inject", "remove")


class Method(Protocol):
    """One way of tampering.

    Attributes
    ----------
    name
        As on the command line.
    settings
        What decides its output besides scan, place and seed, for the record: options, hashes of weights. Values that
        JSON can hold.
    """

    name: str
    settings: Mapping[str, Any]

    def check(self, site: Site, action: Action) -> None:
        """Refuse what the method can't do there (wrong modality, no room, no source), with a `ForgeError`."""
        ...

    def alter(self, site: Site, action: Action, rng: np.random.Generator) -> Voxels:
        """Return float32 ``[slice, row, column]``: the site's voxels with the lesion put in or taken out.

        Nothing outside ``site.alterable()`` may differ from ``site.voxels``. Same site, action and generator state,
        same result.
        """
        ...


# Each module holds a function ``make(weights, **options)`` that returns the method; ``weights`` is a folder or None.
METHODS: MappingProxyType[str, str] = MappingProxyType(
    {
        "gan": "tamperscan.forge.gan",
        "diffusion": "tamperscan.forge.diffusion",
        "latent": "tamperscan.forge.latent",
        "copymove": "tamperscan.forge.copymove",
        "smooth": "tamperscan.forge.smooth",
        "nodule": "tamperscan.forge.nodule",
    }
)
"""Name of each method and the module that holds it; loaded when it is asked for, as some need torch."""


def load_method(name: str, weights: str | None = None, **options: Any) -> Method:
    """Make a forging method.

    Parameters
    ----------
    name
        One of `METHODS`.
    weights
        Folder of weights, for methods that have some; None for the packaged ones.
    options
        Further settings of the method.

    Raises
    ------
    ForgeError
        If there is no such method, or it needs packages or weights that are missing.
    """
    if name not in METHODS:
        raise ForgeError(f"There is no forging method '{name}'. Choose one of {', '.join(METHODS)}.")
    try:
        module = import_module(METHODS[name])
    except ImportError as error:
        raise ForgeError(
            f"The method '{name}' needs packages that are not installed ({error.name}). "
            f"Run: pip install 'tamperscan[forge]'."
        ) from error
    return cast("Method", module.make(weights, **options))
