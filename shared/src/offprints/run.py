"""One run of a task: its directory, log, metrics, progress, figures and device.

A run directory holds config.yaml (resolved), overrides.yaml (what the user asked for), metrics.csv, TensorBoard events, run.log,
checkpoints/, figures/ and, at the end, results.json. At every instant each of these is absent or readable.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from offprints import hardware
from offprints.atomic import atomic_write
from offprints.errors import InputError
from offprints.interrupt import Interrupts
from offprints.logging import Progress, console, logging_to, progress
from offprints.metrics import MetricsLog
from offprints.results import DatasetRecord

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from matplotlib.figure import Figure


@dataclass
class RunConfig:
    """The options that every package has; a package's `Config` inherits from it.

    Attributes:
        task: which of the package's tasks to run.
        seed: of every random number.
        device: auto, cpu, cuda or cuda:<index>.
        precision: auto, fp32, bf16, fp16 or fp64.
        threads: CPU threads; null leaves the choice to torch.
        resume: directory of an interrupted run to go on with.
        checkpoint: checkpoint or run directory that a task such as evaluate reads.
        progress: show a progress bar, or a line now and then without a terminal.
        deterministic: insist on algorithms that repeat to the bit on a GPU; the CPU always does.
    """

    task: str = "train"
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    resume: str | None = None
    checkpoint: str | None = None
    progress: bool = True
    deterministic: bool = False


class Run:
    """What a task gets beside its config; a context manager that opens and closes the run's files.

    Under torchrun every process has one with the same directory, and only rank 0 writes there.

    Args:
        directory: the run directory; created.
        config: the typed config.
        package: import name; its logger goes to the console and to run.log.
        experiment: the chosen file of conf/experiment, or None.
        resuming: go on with the run in `directory`.
        interrupts: who listens for signals; the command line gives its own.

    Attributes:
        seed: `config.seed`.
        log: logger that writes to the console and to run.log.
        metrics: `metrics.log(step, {"valid/mrr": .3})` writes metrics.csv and TensorBoard. After loading the checkpoint that
            the run resumes from, call `metrics.rewind(checkpoint.step)`.
        main: whether this process writes (rank 0).
    """

    def __init__(
        self,
        directory: Path | str,
        config: RunConfig,
        package: str = "offprints",
        experiment: str | None = None,
        resuming: bool = False,
        interrupts: Interrupts | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.config = config
        self.seed = config.seed
        self.package = package
        self.experiment = experiment
        self.resuming = resuming
        self.log = logging.getLogger(package)
        self.main = hardware.rank() == 0
        if self.main:
            self.directory.mkdir(parents=True, exist_ok=True)
        self.metrics = MetricsLog(self.directory, resuming, write=self.main)
        self._interrupts = interrupts or Interrupts()
        self._screen = console(stderr=True)
        self._datasets: dict[str, dict[str, str]] = {}
        self._open = ExitStack()
        self._torch_ready = False

    def __enter__(self) -> Run:
        level = logging.INFO if self.main else logging.WARNING
        if logging.getLogger().level == logging.DEBUG:  # hydra.verbose=true
            level = logging.DEBUG
        file = self.directory / "run.log" if self.main else None
        self._open.enter_context(logging_to(file, ("offprints", self.package), self._screen, level))
        self._open.callback(self.metrics.close)
        hardware.reset_peak_memory()
        self._seed()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            shown = error if isinstance(error, (Exception, KeyboardInterrupt)) else None
            self.log.error("run ended: %r", error, exc_info=shown, extra={"file_only": True})
        self._open.close()

    @cached_property
    def fabric(self) -> Fabric:
        """Lightning Fabric on the configured device and precision; made, and torch imported, on first use.

        Raises:
            InputError: there is no such device or precision.
        """
        from offprints import gpu

        self._prepare_torch()
        fabric = gpu.fabric(self.config.device, self.config.precision)
        # Processes on other machines cannot know rank 0's clock, which the default directory is named by.
        self.directory = Path(fabric.broadcast(str(self.directory)))
        return fabric

    @contextmanager
    def progress(self, total: int, description: str, done: int = 0) -> Iterator[Progress]:
        """Show progress: `with run.progress(epochs, "training", done=start) as bar: bar.advance(1, {"valid/mrr": mrr})`.

        Args:
            total: number of steps.
            description: what is being done.
            done: steps done before the run was resumed.
        """
        shown = self._screen if self.main and self.config.progress else None
        with progress(total, description, self.log, shown, done) as bar:
            yield bar

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """Put off Ctrl-C and SIGTERM to the end of the block, so that KeyboardInterrupt never leaves half an update.

        Wrap one training step in it, catch KeyboardInterrupt around the loop, save a checkpoint there and raise it again.
        """
        with self._interrupts.held():
            yield

    def figure(self, name: str, figure: Figure, caption: str) -> Path:
        """Save a matplotlib figure as figures/<name>.png and show it in TensorBoard.

        Args:
            name: of the file.
            figure: what is drawn.
            caption: what it shows, in a sentence without a full stop; the file carries it as its description.

        Returns:
            The path of the PNG.
        """
        path = self.directory / "figures" / f"{name}.png"
        if self.main:
            # A layout engine has made room for all labels already; to crop would draw the figure a second time.
            crop = "tight" if figure.get_layout_engine() is None else None
            with atomic_write(path) as file:
                said = {"Description": caption}
                figure.savefig(file, format="png", dpi=150, bbox_inches=crop, metadata=said)
            self.metrics.picture(name, path)
        return path

    def dataset(self, name: str, sha256: Mapping[str, str]) -> None:
        """Record a data set that the run reads, for results.json; several are joined.

        Args:
            name: of the data set.
            sha256: file -> checksum of its uncompressed content.
        """
        self._datasets[name] = dict(sha256)

    @property
    def dataset_record(self) -> DatasetRecord | None:
        """What `dataset` recorded: one data set as it is, several as "a+b" with files "a/train.txt"."""
        if not self._datasets:
            return None
        if len(self._datasets) == 1:
            return DatasetRecord(*next(iter(self._datasets.items())))
        files = {
            f"{name}/{file}": digest for name, sha in self._datasets.items() for file, digest in sha.items()
        }
        return DatasetRecord("+".join(self._datasets), files)

    @property
    def peak_gpu_memory_mb(self) -> float | None:
        """Most that torch took of the CUDA device; None without one."""
        fabric = self.__dict__.get("fabric")  # asking must not make one
        if fabric is None or fabric.device.type != "cuda":
            return None
        from offprints import gpu

        return gpu.peak_memory_mb(fabric.device)

    def _seed(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed={self.seed} must be between 0 and {2**32 - 1}")
        if self.config.threads is not None:
            if self.config.threads < 1:
                raise InputError(f"threads={self.config.threads} must be 1 or more")
            os.environ["OMP_NUM_THREADS"] = str(self.config.threads)  # for what is imported later
        random.seed(self.seed)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(self.seed)
        if "torch" in sys.modules:
            self._prepare_torch()

    def _prepare_torch(self) -> None:
        if self._torch_ready:
            return
        from offprints import gpu

        gpu.keep_freed_memory()
        gpu.set_threads(self.config.threads)
        gpu.seed_everything(self.seed)
        gpu.set_deterministic(self.config.deterministic)
        self._torch_ready = True
