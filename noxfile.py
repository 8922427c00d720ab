"""Every job of this repository.

    nox -l                          lists the jobs
    nox -s tests                    runs one for every package
    nox -s "tests(conve)"           runs one for one package
    nox -s "tests(conve)" -- -x     hands options on to pytest, to the package or to the tool
    nox -s tests_with               runs the tests that need an extra of a package, such as StarCraft II

Packages are found on disk: a new folder under packages/ takes part in everything at once. A session's environment holds the
package, shared, what these two declare, and nothing else of ours, at the versions of constraints.txt.
"""

from __future__ import annotations

import ast
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "isolation", "tests"]

# A machine may forbid bytecode files; in a new environment every process would then compile torch again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

ROOT = Path(__file__).parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
each_package = nox.parametrize("package", PACKAGES, ids=PACKAGES)
each_distribution = nox.parametrize("package", ["shared", *PACKAGES], ids=["shared", *PACKAGES])
# Tests that need an extra lie in packages/<slug>/tests_<extra>/, and are named so: relational-rl-sc2.
EXTRAS = sorted(
    (path.parent.name, path.name.removeprefix("tests_")) for path in ROOT.glob("packages/*/tests_*/")
)
each_extra = nox.parametrize("package, extra", EXTRAS, ids=["-".join(names) for names in EXTRAS])


@nox.session
@each_distribution
def tests(session: nox.Session, package: str) -> None:
    """The tests of one package, in an environment of its own."""
    install(session, f"{package}[test]", "pytest", "pytest-xdist")
    # Two workers with one thread each: torch would else start as many threads as cores in both. A file of tests stays with one
    # worker, so that what it trains or imports for all of its tests is done once.
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    options = ["-n", "2", "--dist", "loadfile", "--durations", "15", f"{folder(package)}/tests"]
    session.run("pytest", *options, *session.posargs, env=threads)


@nox.session
@each_extra
def tests_with(session: nox.Session, package: str, extra: str) -> None:
    """The tests of a package that need one of its extras, in an environment that has it."""
    install(session, f"{package}[test,{extra}]")
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    session.run(
        "pytest", "--durations", "15", f"{folder(package)}/tests_{extra}", *session.posargs, env=threads
    )


@nox.session
@each_distribution
def full(session: nox.Session, package: str) -> None:
    """The tests of a package that have a larger size, at that size: what its [tool.offprints] full gives pytest, run after run."""
    runs = pyproject(package).get("tool", {}).get("offprints", {}).get("full", [])
    if not runs:
        session.skip(f"no test of {package} has a larger size")
    install(session, f"{package}[test]")
    for file, *options in runs:
        session.run("pytest", f"{folder(package)}/tests/{file}", *options, *session.posargs)


@nox.session
@each_package
def demo(session: nox.Session, package: str) -> None:
    """A package's main job on its embedded data; the table and the report of all follow."""
    install(session, package)
    run_directory = ROOT / ".demo" / package
    shutil.rmtree(run_directory, ignore_errors=True)
    session.run(script(package), f"hydra.run.dir='{run_directory}'", *session.posargs)
    session.notify("report", posargs=[])


@nox.session
@each_package
def smoke(session: nox.Session, package: str) -> None:
    """A package's main job in a quarter of a minute."""
    install(session, package)
    run_directory = Path(session.create_tmp()).resolve() / "run"
    shutil.rmtree(run_directory, ignore_errors=True)
    session.run(script(package), "experiment=smoke", f"hydra.run.dir='{run_directory}'", *session.posargs)


@nox.session
@each_package
def kills(session: nox.Session, package: str) -> None:
    """A package's main job in the short form of its [tool.offprints] kills, killed with SIGKILL and resumed again and again."""
    install(session, package, "numpy", "pillow", "pyyaml")
    options = pyproject(package).get("tool", {}).get("offprints", {}).get("kills", ["experiment=smoke"])
    session.run("python", "tools/kills.py", script(package), *session.posargs, "--", *options)


@nox.session
@each_package
def bench(session: nox.Session, package: str) -> None:
    """Timings beside the peers; writes the package's benchmarks/results.json."""
    benchmarks = ROOT / folder(package) / "benchmarks"
    if not (benchmarks / "__main__.py").exists():
        session.skip(f"{folder(package)}/benchmarks/__main__.py does not exist")
    install(session, f"{package}[bench]")
    session.run("python", str(benchmarks), *session.posargs)


@nox.session
@each_package
def examples(session: nox.Session, package: str) -> None:
    """The tests of a package's examples, beside the libraries that they show it with: the extra `examples`."""
    if not (ROOT / folder(package) / "examples").is_dir():
        session.skip(f"{folder(package)} has no examples")
    # Such libraries may ask for one version of what they share with the package, which then gives way.
    others = ("gymnasium==",)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    kept = Path(session.create_tmp()).resolve() / "constraints.txt"
    kept.write_text("\n".join(line for line in lines if not line.startswith(others)) + "\n", encoding="utf-8")
    wanted = ["-e", "./shared", "-e", f"./{folder(package)}[examples]", "pytest"]
    session.install("-c", str(kept), *wanted, env=uv_settings())
    share_bytecode(session)
    session.run("pytest", f"{folder(package)}/examples/tests", *session.posargs)


@nox.session
def dist(session: nox.Session) -> None:
    """The sdists, and the wheels made from them, of shared and every package, in dist/."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    get(session, "build", "hatchling")
    for package in ["shared", *PACKAGES]:
        session.run(
            "python", "-m", "build", "--no-isolation", "--outdir", "dist", folder(package), silent=True
        )


@nox.session(requires=["dist"])
@each_distribution
def build(session: nox.Session, package: str) -> None:
    """The wheel alone, tried outside the checkout: it has to bring its config files and declare all it needs."""
    get(session, wheel("shared"), *([wheel(package)] if package != "shared" else []))
    with tempfile.TemporaryDirectory() as elsewhere, session.chdir(elsewhere):
        smoke = ["list"] if package == "shared" else ["experiment=smoke", "hydra.run.dir=run"]
        session.run(script(package), *smoke)


@nox.session
def lint(session: nox.Session) -> None:
    """Format and lint; `-- --fix` mends what can be mended."""
    get(session, "ruff")
    session.run("ruff", "format", *([] if session.posargs else ["--check"]), ".")
    session.run("ruff", "check", *session.posargs, ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict over shared, every package and the tools."""
    install_all(session, "mypy", "jinja2", "packaging", "pytest")
    sources = [f"{folder(package)}/src" for package in ["shared", *PACKAGES]]
    bases = {
        "MYPYPATH": os.pathsep.join(sources)
    }  # so that a file has one name: conve.model, not packages.conve...
    session.run("mypy", *sources, *map(str, ROOT.glob("tools/*.py")), *session.posargs, env=bases)


@nox.session
def isolation(session: nox.Session) -> None:
    """No package imports another one, or anything that it does not declare; within a package, imports run one way."""
    install_all(session, "packaging")
    session.run("python", "tools/isolation.py")
    session.run("python", "tools/arrows.py", *session.posargs)


@nox.session
def licences(session: nox.Session) -> None:
    """The page of licences, from an environment with every package and what the tests need."""
    wanted = [argument for package in PACKAGES for argument in ("-e", f"./{folder(package)}[test]")]
    get(session, "-e", "./shared[test]", *wanted, "packaging")
    session.run("python", "tools/licences.py")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site in .site/; `-- serve` shows it while you write."""
    install(session, "shared", "mkdocs-material", "mkdocstrings[python]", "ruff")  # ruff sets the signatures
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]), env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def report(session: nox.Session) -> None:
    """One table and one HTML page of what the demos and the committed runs measured."""
    install(session, "shared", "jinja2", "pillow")
    session.run("python", "tools/report.py", *session.posargs)


@nox.session
def tools(session: nox.Session) -> None:
    """The tests of tools/ and docs/hooks.py."""
    # torch and matplotlib are for the run that is killed
    needed = ["pytest", "pytest-xdist", "jinja2", "packaging", "mkdocs-material", "matplotlib", "pillow"]
    install(session, "shared[torch]", *needed)
    session.run("pytest", "tools/tests", *session.posargs)


@nox.session(venv_backend="none")
def new(session: nox.Session) -> None:
    """A new package that passes every job: nox -s new -- <slug> "<title of the paper>"."""
    session.run(sys.executable, "tools/new_package.py", *session.posargs, external=True)


# What the jobs are made of.


def folder(package: str) -> str:
    """Where a package lies, from the root."""
    return "shared" if package == "shared" else f"packages/{package}"


def pyproject(package: str) -> dict:
    """A package's own declarations."""
    return nox.project.load_toml(ROOT / folder(package) / "pyproject.toml")


def script(package: str) -> str:
    """The console script, by convention the first one of [project.scripts]."""
    return next(iter(pyproject(package)["project"]["scripts"]))


def wheel(package: str) -> str:
    """The path of the wheel that `dist` made."""
    name = pyproject(package)["project"]["name"].replace("-", "_")
    return str(next((ROOT / "dist").glob(f"{name}-*.whl")))


def install(session: nox.Session, package: str, *others: str) -> None:
    """Install a package from its folder with shared beside it; `package` may ask for extras: conve[test]."""
    name, bracket, extras = package.partition("[")
    system_libraries(session, name)
    ours = [] if name == "shared" else ["-e", "./shared"]
    get(session, *ours, "-e", f"./{folder(name)}{bracket}{extras}", *others)


def install_all(session: nox.Session, *others: str) -> None:
    """Install shared and every package in one environment, for jobs that read the whole tree."""
    ours = [argument for package in PACKAGES for argument in ("-e", f"./{folder(package)}")]
    get(session, "-e", "./shared[torch]", *ours, *others)


def get(session: nox.Session, *requirements: str) -> None:
    """Install at the versions of constraints.txt, from where pip is set up to look."""
    session.install("-c", str(ROOT / "constraints.txt"), *requirements, env=uv_settings())
    share_bytecode(session)


def share_bytecode(session: nox.Session) -> None:
    """Link the bytecode that another environment has compiled already: torch and its company take long to compile.

    Python uses a bytecode file only if the time and size in it are those of the source beside it.
    """
    ours = Path(session.virtualenv.location)
    for others in ours.parent.glob("*/lib/python*/site-packages/torch/__pycache__"):
        site = others.parent.parent
        here = ours / site.relative_to(site.parents[2])
        if here == site or not here.is_dir():
            continue
        for compiled in site.rglob("__pycache__/*.pyc"):
            link = here / compiled.relative_to(site)
            if link.parent.parent.is_dir() and not link.exists():
                link.parent.mkdir(exist_ok=True)
                os.link(compiled, link)
        return


def system_libraries(session: nox.Session, package: str) -> None:
    """Install the Debian packages under [tool.offprints] apt, or say which command does."""
    wanted = pyproject(package).get("tool", {}).get("offprints", {}).get("apt", [])
    missing = [name for name in wanted if not on_system(name)]
    if not missing:
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        update_apt(session)
        session.run(
            "apt-get", "install", "-y", "-q", "--no-install-recommends", *missing, external=True, silent=True
        )
    else:
        session.warn(
            f"{package} needs system libraries; on Debian or Ubuntu: sudo apt-get install {' '.join(missing)}"
        )


def on_system(name: str) -> bool:
    """Whether a Debian package is installed."""
    command = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", name]
    found = (
        shutil.which("dpkg-query")
        and subprocess.run(command, capture_output=True, text=True, check=False).stdout
    )
    return found == "installed"


@functools.cache
def update_apt(session: nox.Session) -> None:
    """Refresh apt's lists."""
    session.run("apt-get", "update", "-q", external=True, silent=True)


@functools.cache
def uv_settings() -> dict[str, str]:
    """Where pip is set up to look for packages, in uv's words; what the user has set for uv itself stands."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    pip: dict[str, list[str]] = {}
    for section in ("global.", "install.", ":env:."):  # from the weakest to the strongest
        for line in lines:
            if line.startswith(section):
                name, _, value = line.removeprefix(section).partition("=")
                pip[name] = ast.literal_eval(value).split()
    uv = {
        "UV_DEFAULT_INDEX": " ".join(pip.get("index-url", [])),
        "UV_INDEX": " ".join(pip.get("extra-index-url", [])),
        # pip takes the best version that any index has; uv by itself stops at the first index that knows the name.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if "extra-index-url" in pip else "",
        "UV_FIND_LINKS": ",".join(pip.get("find-links", [])),
        "UV_NO_INDEX": " ".join(pip.get("no-index", [])),
        "SSL_CERT_FILE": " ".join(pip.get("cert", [])),
    }
    return {name: value for name, value in uv.items() if value and name not in os.environ}
