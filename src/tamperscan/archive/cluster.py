"""The engine that spreads the work: Ray, on this machine or on a cluster. The only module that imports it.

Nothing is reported to anyone: usage statistics are off before Ray is loaded, and there is no dashboard. Without a
cluster all of Ray's ports are on the loopback interface alone.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from tamperscan.archive.errors import (
    ClusterLostError,
    NotStartedError,
    UnreachableError,
    WorkerLostError,
    missing_package,
)
from tamperscan.archive.found import FoundSeries
from tamperscan.archive.headers import Headers
from tamperscan.archive.headers_apart import read_headers_apart
from tamperscan.archive.manifest import Settings
from tamperscan.archive.places import Place
from tamperscan.archive.reading_apart import read_apart
from tamperscan.archive.screening import Outcome, Screener
from tamperscan.errors import ArchiveError

if TYPE_CHECKING:
    from tamperscan.serve.dicomweb.access import Access

READER_CPUS: Final = 0.25
SCREENER_CPUS: Final = 0.75
"""Shares of a processor core: decoding a series takes a small part of the time that a processor takes to screen it."""

SMALLEST_STORE: Final = 80 * 2**20
"""Ray's object store takes no less."""

START_SECONDS: Final = 300.0

MODE: Final = "RAY_AUTH_MODE"
TOKEN: Final = "RAY_AUTH_TOKEN"


@dataclass(frozen=True)
class Engine:
    """What the work is spread over.

    Attributes
    ----------
    address
        Of a cluster (``host:port``); empty for this machine.
    workers
        Processes that hold networks; 0 for one each core, or one each GPU.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    memory
        Bytes that decoded series in flight may take.
    """

    address: str = ""
    workers: int = 0
    device: str = "auto"
    memory: int = 2**32


class PendingHeaders:
    """Headers that a worker is reading."""

    def __init__(self, cluster: Cluster, reference: Any) -> None:
        self._cluster, self._reference = cluster, reference

    def result(self) -> Headers:
        """Wait for them."""
        headers: Headers = self._cluster.take(self._reference)
        return headers


class Cluster(AbstractContextManager["Cluster"]):
    """Ray, started for this run or joined.

    Parameters
    ----------
    engine
        What the work is spread over.
    settings
        Of the detectors.
    scratch
        Where Ray keeps its sockets and logs on this machine.
    access
        How to reach an archive by DICOMweb.

    Raises
    ------
    ArchiveError
        If Ray is not installed or the cluster can't be reached.
    """

    def __init__(self, engine: Engine, settings: Settings, scratch: Path, access: Access | None = None) -> None:
        _agree_on_token(engine.address)
        self._ray = load_ray()
        self._settings, self._access = settings, access
        try:
            self._connect(engine, scratch)
            self.device, gpus, self.workers = self._choose_workers(engine)
            heads = {"num_cpus": READER_CPUS, "max_retries": 0, "scheduling_strategy": "SPREAD"}
            self._read_headers = self._ray.remote(**heads)(read_headers_apart)
            self._read_series = self._ray.remote(**heads)(read_apart)
            self._screener = self._ray.remote(num_cpus=SCREENER_CPUS, num_gpus=gpus, max_restarts=0)(Screener)
            self.in_flight = self.workers * (8 if gpus else 2)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def answers(self) -> bool:
        """Whether the cluster answers; may take for ever where it does not."""
        try:
            return bool(self._ray.nodes())
        except Exception:  # Ray raises many kinds
            return False

    def new_screener(self) -> Any:
        """Start a worker that holds the networks."""
        return self._screener.remote(self._settings, self.device, 1)

    def describe(self, screener: Any) -> dict[str, Any]:
        """Wait until a worker has loaded its networks, and ask which they are."""
        described: dict[str, Any] = self.take(screener.describe.remote(), START_SECONDS)
        return described

    def read_headers(self, place: Place, names: tuple[str, ...]) -> PendingHeaders:
        """Begin to read the headers of some files."""
        return PendingHeaders(self, self._read_headers.remote(place, names))

    def read(self, found: FoundSeries) -> Any:
        """Begin to read a series."""
        web = any(part.place.kind == "dicomweb" for part in found.parts)
        return self._read_series.remote(found, self._access if web else None)

    def screen(self, screener: Any, found: FoundSeries, read: Any, attempts: int) -> Any:
        """Begin to screen a series that was read."""
        return screener.screen.remote(found, read, attempts)

    def wait(self, references: Sequence[Any], seconds: float) -> list[Any]:
        """Give those that are ready, after so many seconds at most."""
        if not references:
            return []
        ready, _ = self._ray.wait(list(references), num_returns=len(references), timeout=0, fetch_local=False)
        if not ready:
            ready, _ = self._ray.wait(list(references), num_returns=1, timeout=seconds, fetch_local=False)
        return list(ready)

    def outcome(self, reference: Any) -> Outcome:
        """Take what came of a screening."""
        outcome: Outcome = self.take(reference)
        return outcome

    def take(self, reference: Any, seconds: float | None = None) -> Any:
        """Wait for a result.

        Raises
        ------
        WorkerLostError
            If its worker ended.
        ClusterLostError
            If the cluster does not answer.
        """
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference, timeout=seconds)
        except errors.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            raise cause from None
        except errors.OutOfMemoryError as error:
            raise WorkerLostError("ran out of memory") from error
        except (errors.RayActorError, errors.WorkerCrashedError, errors.ObjectLostError) as error:
            raise WorkerLostError("ended, as it does when the system takes its memory away") from error
        except errors.GetTimeoutError as error:
            raise ClusterLostError("no worker could be started within five minutes") from error
        except (errors.RayError, ConnectionError) as error:
            raise ClusterLostError(" ".join(str(error).split())[:200]) from error

    def end(self, screener: Any) -> None:
        """End a worker, whatever it is at."""
        self._ray.kill(screener)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    def _connect(self, engine: Engine, scratch: Path) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if engine.address:
            try:
                self._ray.init(address=engine.address, **quiet)
            except Exception as error:  # Ray raises many kinds where it can't connect
                words = " ".join(str(error).split())[:200]
                raise UnreachableError(
                    f"{engine.address}: no Ray cluster answers there ({words}). Check --ray-address and the cluster."
                ) from error
            return
        self._start(engine, scratch, quiet)

    def _start(self, engine: Engine, scratch: Path, quiet: dict[str, Any]) -> None:
        """Start Ray here.

        On a very busy machine that fails, as Ray allows its parts 15 and 30 seconds to come up. What it has started by
        then goes with this process alone, so that another attempt needs another process.
        """
        from ray._private import ray_constants

        ray_constants.ENABLE_RAY_CLUSTER = False  # all of its ports on the loopback interface
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        try:
            self._ray.init(
                address="local",
                num_cpus=max(cores, engine.workers),
                object_store_memory=max(SMALLEST_STORE, engine.memory // 2),
                include_dashboard=False,
                _temp_dir=str(scratch),
                **quiet,
            )
        except Exception as error:  # Ray raises many kinds where it can't start
            words = " ".join(str(error).split())[:200]
            problem = f"Ray can't be started on this machine ({words})"
            raise NotStartedError(f"{problem}. Look whether it is short of memory or very busy.") from error

    def _choose_workers(self, engine: Engine) -> tuple[str, float, int]:
        """Choose the device, the GPUs a worker takes, and how many workers there are."""
        there = self._ray.cluster_resources()
        gpus = int(there.get("GPU", 0))
        if engine.device == "cuda" and not gpus:
            raise ArchiveError("There is no GPU that Ray knows of. Choose --device cpu, or add nodes with GPUs.")
        if gpus and (engine.device == "cuda" or (engine.device == "auto" and _cuda_is_usable(engine))):
            return "cuda", 1, min(engine.workers or gpus, gpus)
        most = max(1, int(there.get("CPU", 1)))
        return "cpu", 0, min(engine.workers or most, most)


def load_ray() -> Any:
    """Import Ray with everything off that would tell others of its use.

    Raises
    ------
    ArchiveError
        If it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise missing_package("ray") from error
    return ray


def _agree_on_token(address: str) -> None:
    """Have every request to Ray carry a token: one made for this run alone, or that of the cluster."""
    if MODE in os.environ:
        return
    if not address:
        os.environ[MODE], os.environ[TOKEN] = "token", secrets.token_hex(32)
    elif TOKEN in os.environ or Path(os.environ.get(f"{TOKEN}_PATH", Path.home() / ".ray" / "auth_token")).exists():
        os.environ[MODE] = "token"


def _cuda_is_usable(engine: Engine) -> bool:
    """Whether a runtime has CUDA for the networks; on a cluster the nodes must have the packages of this machine."""
    from tamperscan.diffusion.gpu import gpu_is_there

    return bool(engine.address) or gpu_is_there()
