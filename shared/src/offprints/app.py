"""One Hydra entry point for all packages: `task(config, run) -> results` becomes a console script.

    @dataclass
    class Config(RunConfig):
        model: ModelConfig = field(default_factory=ModelConfig)

    def train(config: Config, run: Run) -> Results: ...

    main = command("conve", Config, {"train": train, "evaluate": evaluate}, "Convolutional 2D Knowledge Graph Embeddings")

The package's conf/config.yaml has a defaults list that begins with `schema`, the name under which the typed config is known to
Hydra, so that an unknown key or a wrong type is an error:

    defaults: [schema, {dataset: cldr}, _self_, {experiment: null}]
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.table import Table
from rich.text import Text

from offprints import hardware, usage
from offprints.atomic import write_text
from offprints.conf_files import conf_folder
from offprints.errors import InputError
from offprints.interrupt import Interrupts
from offprints.logging import console
from offprints.overrides import STORED, quoted, resumed, run_directories
from offprints.results import Results, RunRecord, write_results
from offprints.run import Run, RunConfig
from offprints.user_errors import closest, config_message, message_for

__all__ = ["Command", "Results", "Run", "RunConfig", "command"]

C = TypeVar("C", bound=RunConfig)
Task = Callable[[C, Run], "Results | Mapping[str, float]"]

OK, BUG, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def command(
    package: str,
    config: type[C],
    tasks: Mapping[str, Task[C]],
    summary: str,
    *,
    on_device: Collection[str] = (),
    precisions: Mapping[str, Collection[str]] | None = None,
    with_checkpoint: Collection[str] = (),
) -> Command[C]:
    """Make the console script of a package.

    It parses the options with Hydra, runs `tasks[config.task]` in a run directory of its own and writes results.json there. It
    exits with 0, with 2 and one message if the user's input is wrong, with 130 after Ctrl-C or SIGTERM, and with 1 and a
    traceback for a bug. OFFPRINTS_TRACEBACK=1 shows the traceback of a user error too.

    Args:
        package: import name, such as "ke_gcn"; its config files lie in <package>/conf.
        config: the typed config.
        tasks: name -> function; --help shows the first line of its docstring.
        summary: one line for --help, such as the paper's title.
        on_device: the tasks that compute on the device that `device=` names; with another one `device=cuda` is an error.
        precisions: task -> what `precision=` may say of it, beside auto; any other is an error. A task of `on_device` that
            is not named here computes in single precision, and one of neither in what it needs.
        with_checkpoint: the tasks that read `checkpoint=`; with another one it is an error.

    Returns:
        What [project.scripts] and __main__.py call.
    """
    return Command(package, config, dict(tasks), summary, on_device, precisions or {}, with_checkpoint)


@dataclass
class Command(Generic[C]):
    """A console script; `command` makes it.

    Attributes:
        package: import name.
        config: the typed config.
        tasks: name -> function.
        summary: one line for --help.
        on_device: tasks that compute on `device`.
        precisions: task -> the precisions that it can be told.
        with_checkpoint: tasks that read `checkpoint`.
    """

    package: str
    config: type[C]
    tasks: dict[str, Task[C]]
    summary: str
    on_device: Collection[str] = ()
    precisions: Mapping[str, Collection[str]] = field(default_factory=dict)
    with_checkpoint: Collection[str] = ()

    def __post_init__(self) -> None:
        unknown = {*self.on_device, *self.precisions, *self.with_checkpoint} - set(self.tasks)
        if unknown:
            raise ValueError(f"there are no such tasks: {sorted(unknown)}")

    def __call__(self) -> None:
        """Run with the options of this process, and exit."""
        code = self.run(sys.argv[1:])
        if code != OK:
            raise SystemExit(code)

    def compose(self, options: Sequence[str]) -> C:
        """The config that options make, checked as a run checks it, without running anything.

        Args:
            options: of the command line, such as "experiment=smoke"; no sweep.

        Raises:
            InputError: an option is wrong; the message is the command line's.
        """
        from hydra import compose, initialize_config_dir

        try:
            with _full_errors():
                self._store_schema()
                with initialize_config_dir(str(conf_folder(self.package)), version_base="1.3"):
                    config, _ = _typed(compose("config", overrides=list(options)), self.config)
        except Exception as error:
            message = message_for(error, self.package, self.config)
            if message is None:
                raise
            raise InputError(message) from error
        self._check_task(config)
        return config

    def _check_task(self, config: C) -> None:
        if config.task not in self.tasks:
            raise InputError(f"task={config.task}: there is no such task{closest(config.task, self.tasks)}")
        self._check_followed(config)

    def _check_followed(self, config: C) -> None:
        """No option of all packages is without effect: a task that does not follow one refuses it."""
        task, follows = config.task, config.task in self.on_device
        if config.device not in ("auto", "cpu") and not follows:
            raise InputError(f"device={config.device}: task={task} computes on the CPU")
        known = self.precisions.get(task, ("fp32",) if follows else ())
        if config.precision != "auto" and config.precision not in known:
            does = f"computes in {' or '.join(known)}" if known else "has a precision of its own"
            raise InputError(f"precision={config.precision}: task={task} {does}")
        if config.checkpoint is not None and task not in self.with_checkpoint:
            reading = ", ".join(f"task={name}" for name in self.tasks if name in self.with_checkpoint)
            raise InputError(
                f"checkpoint={config.checkpoint}: task={task} reads none"
                + (f"; these do: {reading}" if reading else "")
            )

    @property
    def slug(self) -> str:
        return self.package.replace("_", "-")

    def run(self, argv: Sequence[str]) -> int:
        """Run with these options; returns the exit status."""
        job = _Job(self)
        try:
            with _full_errors():
                self._store_schema()
                self._start(list(argv), job)
        except KeyboardInterrupt:
            return INTERRUPTED
        except Exception as error:  # noqa: BLE001 - shown below, as a message or a traceback
            job.failures.append(error)
        return max((self._report(error) for error in job.failures), key=_SEVERITY.index, default=OK)

    def _store_schema(self) -> None:
        from hydra.core.config_store import ConfigStore

        ConfigStore.instance().store(name="schema", node=self.config, provider=self.package)

    def _start(self, argv: list[str], job: _Job[C]) -> None:
        import hydra

        if "--version" in argv:
            console().print(f"{self.slug} {self.version}", highlight=False)
            return
        arguments = _parse(argv)
        if arguments.help:
            usage.show(
                self.package, self.slug, self.version, self.config, self.tasks, self.summary, console()
            )
            return
        if not (arguments.cfg or arguments.info or arguments.hydra_help or arguments.shell_completion):
            argv = self._complete(arguments)
        # The folder's path and not pkg://: Hydra would ask for an __init__.py beside the YAML files.
        start = hydra.main(
            version_base="1.3", config_path=str(conf_folder(self.package)), config_name="config"
        )(job)
        with _argv([self.slug, *argv]):
            start()

    def _complete(self, arguments: argparse.Namespace) -> list[str]:
        """Hydra's flags, our run directories, and the user's options with those of the run that is resumed."""
        flags = ["--multirun"] if arguments.multirun else []
        for name in ("config_path", "config_name", "config_dir"):
            if getattr(arguments, name) is not None:
                flags += [f"--{name.replace('_', '-')}", getattr(arguments, name)]
        overrides, directory = resumed(arguments.overrides, arguments.multirun)
        return [*flags, *run_directories(self.package, self.slug, overrides, directory), *overrides]

    @property
    def version(self) -> str:
        try:
            return metadata.version(f"offprints-{self.slug}")
        except metadata.PackageNotFoundError:
            return str(getattr(import_module(self.package), "__version__", "unknown"))

    def _report(self, error: Exception) -> int:
        """Show an error on stderr; returns the exit code that it stands for."""
        message = message_for(error, self.package, self.config)
        if message is None:
            traceback.print_exception(error)
            return BUG
        if os.environ.get("OFFPRINTS_TRACEBACK") == "1":
            traceback.print_exception(error)
        who = f"{self.slug} (rank {hardware.rank()})" if hardware.world_size() > 1 else self.slug
        console(stderr=True).print(f"[bold red]error[/] {who}: ", end="", highlight=False)
        console(stderr=True).print(message, markup=False, highlight=False, soft_wrap=True)
        return USER_ERROR


_SEVERITY = [OK, USER_ERROR, BUG]


@dataclass
class _Job(Generic[C]):
    """What Hydra calls, once for each run; failures are kept, so that a sweep goes on and Hydra adds no message of its own."""

    script: Command[C]
    failures: list[Exception] = field(default_factory=list)
    process: int = field(default_factory=os.getpid)

    def __call__(self, options: DictConfig) -> None:
        try:
            self._run(options)
        except Exception as error:
            if os.getpid() != self.process:
                raise  # a launcher's worker: the list here is a copy, so the launcher has to carry the error home
            self.failures.append(error)

    def _run(self, options: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        hydra = HydraConfig.get()
        config, plain = _typed(options, self.script.config)
        self.script._check_task(config)
        given = [text for text in hydra.overrides.task if not text.startswith("resume=")]
        interrupts = Interrupts()
        directory = Path(hydra.runtime.output_dir)
        resuming = _claim(directory, config, given, options)
        experiment = hydra.runtime.choices.get("experiment")
        run = Run(directory, config, self.script.package, experiment, resuming, interrupts)
        try:
            with interrupts.listening(), run:
                results = self.script.tasks[config.task](config, run)
                if interrupts.requested:
                    raise KeyboardInterrupt  # the task kept its state and came back: what it has is not the result
                self._finish(run, config, plain, results, given)
        except KeyboardInterrupt:
            if run.main:
                again = shlex.join([self.script.slug, f"resume={quoted(str(_relative(run.directory)))}"])
                console(stderr=True).print(
                    f"interrupted; go on with: {again}", soft_wrap=True, highlight=False
                )
            raise

    def _finish(
        self,
        run: Run,
        config: C,
        plain: dict[str, Any],
        results: Results | Mapping[str, float],
        given: list[str],
    ) -> None:
        if not run.main:
            return
        found = results if isinstance(results, Results) else Results(results)
        record = RunRecord(
            package=self.script.slug,
            version=self.script.version,
            experiment=run.experiment,
            task=config.task,
            dataset=run.dataset_record,
            seed=config.seed,
            metrics=found.metrics,
            config=plain,
            commit=hardware.commit(self.script.package, self.script.slug),
            hardware=hardware.hardware(),
            seconds=round(run.metrics.seconds, 3),
            peak_memory_mb=round(hardware.peak_memory_mb(), 1),
            command=_command(self.script.package, self.script.slug, given),
            versions=hardware.versions(),
            peak_gpu_memory_mb=run.peak_gpu_memory_mb,
            details=found.details,
        )
        write_results(run.directory / "results.json", record)
        _show(record, run.directory)


def _parse(argv: list[str]) -> argparse.Namespace:
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{message}; options are written key=value, --help lists them")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(argv)
    if arguments.experimental_rerun is not None:
        raise InputError("--experimental-rerun would load a pickle; use resume=<run directory>")
    return arguments


def _typed(options: DictConfig, kind: type[C]) -> tuple[C, dict[str, Any]]:
    """The config as its class, and as the plain values that config.yaml and results.json hold."""
    try:
        config = OmegaConf.to_object(options)
        plain = OmegaConf.to_container(options, resolve=True, enum_to_str=True)
    except (OmegaConfBaseException, ValueError) as error:
        raise InputError(config_message(error)) from error
    if not isinstance(config, kind) or not isinstance(plain, dict):
        raise TypeError(
            f"conf/config.yaml does not begin its defaults with `schema`: its config is no {kind.__name__}"
        )
    return config, {str(key): value for key, value in plain.items() if key != "resume"}


def _claim(directory: Path, config: RunConfig, given: list[str], options: DictConfig) -> bool:
    """Store what was asked for in the run directory; returns whether a run goes on there.

    Raises:
        InputError: the directory holds another run.
    """
    begun = (directory / STORED).exists()
    resuming = config.resume is not None or (begun and hardware.restarted())
    if hardware.rank() == 0:
        if begun and not resuming:
            raise InputError(
                f"{directory} holds a run already; go on with resume={directory}, or choose another directory"
            )
        write_text(directory / "config.yaml", OmegaConf.to_yaml(options, resolve=True))
        write_text(directory / STORED, OmegaConf.to_yaml(OmegaConf.create(given)))
    return resuming


def _command(package: str, slug: str, given: list[str]) -> str:
    if hardware.world_size() == 1:
        return shlex.join([slug, *given])
    nodes = int(os.environ.get("GROUP_WORLD_SIZE", "1"))
    spread = ["--nnodes", str(nodes)] if nodes > 1 else []
    per_node = os.environ["LOCAL_WORLD_SIZE"]
    return shlex.join(["torchrun", *spread, "--nproc-per-node", per_node, "-m", package, *given])


def _show(record: RunRecord, directory: Path) -> None:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, value in record.metrics.items():
        table.add_row(Text(name), Text(f"{float(value):.4g}"))
    screen = console()
    screen.print(table)
    screen.print(
        Text(f"{record.seconds:.1f} s, {record.peak_memory_mb:.0f} MB; results in {_relative(directory)}"),
        soft_wrap=True,
    )


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


@contextmanager
def _full_errors() -> Iterator[None]:
    """Let Hydra pass errors on; by itself it prints them and exits with 1."""
    earlier = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if earlier is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = earlier


@contextmanager
def _argv(argv: list[str]) -> Iterator[None]:
    """hydra.main takes its options from sys.argv only."""
    earlier = sys.argv
    sys.argv = argv
    try:
        yield
    finally:
        sys.argv = earlier
