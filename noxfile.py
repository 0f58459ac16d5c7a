"""Sessions to train, test and check: ``python -m nox -s reproduce``, ``python -m nox -s tests``.

Almost every session runs in one environment, ``.nox/project``, which is filled again only when
``pyproject.toml`` or ``constraints.txt`` changes. Arguments after ``--`` go to the command, e.g.
``python -m nox -s reproduce -- --profile smoke --runs /tmp/runs``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nox

ROOT = Path(__file__).parent
ENVIRONMENT = ROOT / ".nox" / "project"
FIGURES = ("1", "2", "3", "4", "5", "B", "S")
BASE_TESTS = (
    *("tests/records", "tests/tables", "tests/fuzz", "tests/test_cli.py"),
    *("tests/test_untrusted.py", "tests/repro/test_collect.py", "tests/repro/test_plan.py"),
    *("tests/repro/test_runner.py", "tests/repro/test_scoring.py", "tests/repro/test_specs.py"),
    *("tests/repro/test_studies.py", "tests/repro/test_variants.py"),
)
"""Tests that run with the base installation; they skip what needs the extra `train`."""
TIME = "%Y%m%dT%H%M%S"

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "none"


def _python(session: nox.Session) -> str:
    """Returns the Python of the project's environment, after installing what has changed."""
    inputs = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs))
    digest.update(sys.version.encode())
    stamp = ENVIRONMENT / "installed-from"
    binary = ENVIRONMENT / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return str(binary)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    # Nox brings virtualenv, which needs no ensurepip; a bare Debian has no venv module.
    create = (sys.executable, "-m", "virtualenv", "--quiet", str(ENVIRONMENT))
    session.run_install(*create, external=True)
    _install(session, str(binary), "-e", f"{ROOT}[train]", *_group("dev"))
    stamp.write_text(digest.hexdigest())
    return str(binary)


def _group(name: str) -> Sequence[str]:
    return nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), name)


def _install(session: nox.Session, python: str, *requirements: str) -> None:
    """Installs requirements into an environment, with the versions of ``constraints.txt``."""
    _pip_install(session, python, "-c", str(ROOT / "constraints.txt"), *requirements)


def _pip_install(session: nox.Session, python: str, *arguments: str) -> None:
    install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    session.run_install(*install, *arguments, external=True)


def _environment(session: nox.Session, name: str, *arguments: str) -> str:
    """Replaces the environment ``.nox/NAME``, runs pip with the arguments, returns its Python."""
    folder = ROOT / ".nox" / name
    python = str(folder / "bin" / "python")
    command = (sys.executable, "-m", "virtualenv", "--quiet", "--clear", str(folder))
    session.run_install(*command, external=True)
    _pip_install(session, python, *arguments)
    return python


def _repro(session: nox.Session, *arguments: str) -> None:
    session.run(_python(session), "-m", "repro", *arguments, external=True)


def _options(arguments: Sequence[str], *known: str) -> list[str]:
    """Returns the known options among the arguments, each followed by its value."""
    found = []
    rest = iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        value = value or next(rest, "")
        if name in known:
            found += [name, value]
    return found


def _collect(session: nox.Session) -> None:
    _repro(session, "collect", *_options(session.posargs, "--profile", "--runs"))


@nox.session(default=False)
def reproduce(session: nox.Session) -> None:
    """Trains the micro tree on real text, prints Tables 2-4, writes all outputs and the report.

    Passes on --profile, --runs, --size, --tau and --seed.
    """
    where = _options(session.posargs, "--profile", "--runs")
    _repro(session, "prepare", *where)
    _repro(session, "run", *session.posargs)
    _repro(session, "collect", *where)
    for number in ("2", "3", "4"):
        _repro(session, "table", number, *where)
    for name in ("learned", "trend"):
        _repro(session, "evidence", name, *where)
    _repro(session, "summary", *where)
    _repro(session, "rebuild", *where)


@nox.session(default=False)
def smoke(session: nox.Session) -> None:
    """Trains the smoke profile's tree in a temporary folder and writes every output of it.

    Compiling takes most of the time and no program runs long, so XLA doesn't optimize.
    """
    flags = (
        *("--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"),
        *("--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"),
    )
    session.env["XLA_FLAGS"] = " ".join(flags)
    with tempfile.TemporaryDirectory(prefix="spactor-smoke-") as folder:
        where = ("--profile", "smoke", "--runs", folder)
        _repro(session, "prepare", *where)
        _repro(session, "run", *where, *session.posargs)
        for command in ("collect", "rebuild"):
            _repro(session, command, *where)
        _repro(session, "table", "2", *where)


@nox.session(default=False)
def study(session: nox.Session) -> None:
    """Trains the registered study (results/study), overnight, and stores its records there.

    A later start continues from the last checkpoints. Passes on --runs, --size, --tau and --seed.
    """
    folder = ROOT / "results" / "study"
    profile = ("--profile", str(folder / "study.toml"))
    where = _options(session.posargs, "--runs")
    _repro(session, "prepare", *profile, *where)
    _repro(session, "run", *profile, *session.posargs)
    _repro(session, "collect", *profile, *where)
    runs = Path(where[1]) if where else ROOT / "runs"
    # `nox --install-only` skips commands, but would execute a call of shutil.
    session.run("cp", "-R", f"{runs / 'study' / 'records'}/.", str(folder), external=True)


@nox.session(default=False)
def t5x_smoke(session: nox.Session) -> None:
    """Trains 30 steps with T5X (two stages, one fine-tuning) and prints Table 2; needs T5X."""
    profile = ("--profile", str(ROOT / "tests" / "t5x" / "thirty.toml"))
    with tempfile.TemporaryDirectory(prefix="spactor-t5x-") as folder:
        where = (*profile, "--runs", folder)
        _repro(session, "run", "--tau", "250K", *where)
        _repro(session, "collect", *where)
        _repro(session, "table", "2", *where)


@nox.session
def tests(session: nox.Session) -> None:
    """Runs the tests and the examples in docstrings in two processes; passes arguments to pytest.

    Tests of one file run in one process and share fixtures. Files run in their order: the examples
    of docstrings are last and quick, so both processes end at about the same time. With `-- -n 0`
    all tests run in one process.
    """
    by_file = ("--dist", "loadfile", "--no-loadscope-reorder")
    parallel = ("-n", "2", *by_file, "--benchmark-disable")
    session.run(_python(session), "-m", "pytest", *parallel, *session.posargs, external=True)


@nox.session(default=False)
def compiled(session: nox.Session) -> None:
    """Runs the tests that compile for a TPU slice; downloads libtpu (0.2 GB), needs no TPU."""
    arguments = ("-m", "libtpu", "tests/analysis", *session.posargs)
    session.run(
        *(_python(session), "-m", "pytest", *arguments), env=_with_libtpu(session), external=True
    )


@nox.session(default=False)
def compile_flops(session: nox.Session) -> None:
    """Compiles the paper's step for 64 TPU chips and stores its FLOPs: an hour. Passes on --all."""
    session.run(
        *(_python(session), "-m", "repro", "compile", *session.posargs),
        env=_with_libtpu(session),
        external=True,
    )


@nox.session(default=False)
def compile_t5x(session: nox.Session) -> None:
    """Compiles T5X's step for 64 TPU chips: hours. Needs T5X on PYTHONPATH. Passes on --all."""
    session.run(
        *(_python(session), "-m", "repro", "compile", "--t5x", *session.posargs),
        env=_with_libtpu(session),
        external=True,
    )


def _with_libtpu(session: nox.Session) -> dict[str, str]:
    """Returns environment variables with which JAX finds libtpu.

    libtpu is installed into a folder of its own, as JAX tries it first wherever it is installed.
    """
    folder = ROOT / ".nox" / "libtpu"
    python = _python(session)
    extras = nox.project.load_toml(ROOT / "pyproject.toml")["project"]["optional-dependencies"]
    constraints = (ROOT / "constraints.txt").read_bytes()
    stamp = folder / "installed-from"
    digest = hashlib.sha256(constraints + repr(extras["tpu-compile"]).encode()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        into = ("--target", str(folder), "--no-deps")
        _install(session, python, *into, *extras["tpu-compile"])
        stamp.write_text(digest)
    # T5X, which is on no registry, may be on the path already.
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), str(folder)]
    return {"PYTHONPATH": os.pathsep.join(paths), "JAX_PLATFORMS": "cpu"}


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Kills the training of a small tree 100 times at random moments and checks its results.

    They must be equal to an undisturbed run's. Takes 15 minutes on two idle cores. Passes on
    --kills, --seed and --folder.
    """
    script = ROOT / "tests" / "soak" / "soak.py"
    session.run(_python(session), str(script), *session.posargs, external=True)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measures steps, decoding, batches and tables; prints ratios, writes JSON.

    Each measurement alternates with a control in the same run; none fails for being slow.
    Arguments go to pytest: --benchmark-json FILE instead of runs/bench/TIME.json, or -k step.
    SPACTOR_BENCH_LAYERS, _BATCH and _ROUNDS change the model of Base's width.
    """
    named = _options(session.posargs, "--benchmark-json")
    path = Path(named[1]) if named else ROOT / "runs" / "bench" / f"{time.strftime(TIME)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = [] if named else [f"--benchmark-json={path}"]
    python = _python(session)
    session.run(
        *(python, "-m", "pytest", "tests/benchmarks", "-m", "benchmark", *rest, *session.posargs),
        external=True,
        env={"SPACTOR_BENCHMARKS": "1"},
    )
    session.run(python, str(ROOT / "tests" / "benchmarks" / "summary.py"), str(path), external=True)


@nox.session(default=False)
def crosscheck(session: nox.Session) -> None:
    """Compares the network with Hugging Face's PyTorch T5; installs PyTorch if it is missing."""
    python = _python(session)
    _install(session, python, *_group("torch"))
    arguments = ("-m", "torch", "tests/spactor", *session.posargs)
    session.run(python, "-m", "pytest", *arguments, external=True)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Tests the report in an installed Chromium; installs Playwright, but no browser."""
    python = _python(session)
    _install(session, python, *_group("browser"))
    session.run(
        *(python, "-m", "pytest", "-m", "browser", "tests/report"), *session.posargs, external=True
    )


@nox.session(default=False)
def launchers(session: nox.Session) -> None:
    """Loads the job files in SkyPilot, which it installs in an environment of its own."""
    session.run(
        *(_python(session), "-m", "pytest", "-m", "launchers", "tests/repro/test_launch.py"),
        *session.posargs,
        env={"SPACTOR_SKYPILOT_PYTHON": _environment(session, "skypilot", *_group("skypilot"))},
        external=True,
    )


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Fuzzes every reader with 100,000 inputs under atheris: hours. Passes on arguments.

    These are names of readers, --runs, --seconds (of each reader, 1800) and --out, the folder for
    inputs that break a reader (runs/fuzz).
    """
    python = _python(session)
    folder = ROOT / ".nox" / "fuzz"
    shutil.rmtree(folder, ignore_errors=True)
    # In a folder of its own, as constraints.txt has no atheris.
    _pip_install(session, python, "--target", str(folder), "--no-deps", *_group("fuzz"))
    out = () if _options(session.posargs, "--out") else ("--out", str(ROOT / "runs" / "fuzz"))
    session.run(
        *(python, str(ROOT / "tests" / "fuzz" / "campaign.py"), *out, *session.posargs),
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])},
        external=True,
    )


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Writes requirements/*.txt: the versions of constraints.txt with hashes, by uv."""
    python = Path(_environment(session, "lock", *_group("lock")))
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    session.run(str(python), "requirements/lock.py", env={"PATH": path}, external=True)


@nox.session(default=False)
def locked(session: nox.Session) -> None:
    """Installs requirements/base.txt in an empty environment and prints Table 2 there.

    Arguments name more files of that folder to install, e.g. `-- train`.
    """
    tiers = ("base", *session.posargs)
    files = [f"--requirement=requirements/{tier}.txt" for tier in tiers]
    python = _environment(session, "locked", "--require-hashes", *files)
    session.run(python, "-m", "pip", "check", external=True)
    # From the checkout, as a build would download a backend without a known hash.
    session.run(python, "-m", "repro", "table", "2", "--from", "published", external=True)


@nox.session(default=False)
def advisories(session: nox.Session) -> None:
    """Looks up security advisories for requirements/*.txt, or those named, with pip-audit.

    Fails if a package has an advisory, or if PyPI can't be reached.
    """
    python = _environment(session, "advisories", *_group("advisories"))
    for tier in session.posargs or ("base", "train", "tpu-compile", "dev"):
        options = ("--strict", "--disable-pip", "--require-hashes", "--progress-spinner", "off")
        listed = ("--requirement", str(ROOT / "requirements" / f"{tier}.txt"))
        session.run(python, "-m", "pip_audit", *options, *listed, external=True)


@nox.session(default=False)
def lowest(session: nox.Session) -> None:
    """Runs the tests of the base installation with the lowest versions that are allowed."""
    uv = Path(_environment(session, "lock", *_group("lock"))).with_name("uv")
    listed = ROOT / ".nox" / "lowest.txt"
    wanted = ("--resolution", "lowest-direct", "--group", "dev", "--output-file", str(listed))
    session.run(str(uv), "pip", "compile", "--quiet", *wanted, "pyproject.toml", external=True)
    python = _environment(session, "lowest", "--requirement", str(listed))
    session.run(python, "-m", "pytest", *BASE_TESTS, *session.posargs, external=True)


@nox.session(default=False)
def licences(session: nox.Session) -> None:
    """Writes docs/licences.md from the metadata of the installed packages."""
    session.run(_python(session), "requirements/licences.py", external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Checks style with ruff; passes arguments on, such as --fix."""
    session.run(_python(session), "-m", "ruff", "check", *session.posargs, ".", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Checks types with mypy; passes arguments on."""
    session.run(_python(session), "-m", "mypy", *session.posargs, external=True)


@nox.session(default=False)
def table2(session: nox.Session) -> None:
    """Collects and prints Table 2; passes on --profile, --runs, --from, --format, --diff."""
    _table(session, "2")


@nox.session(default=False)
def table3(session: nox.Session) -> None:
    """Collects and prints Table 3; passes on --profile, --runs, --from, --format, --diff."""
    _table(session, "3")


@nox.session(default=False)
def table4(session: nox.Session) -> None:
    """Collects and prints Table 4; passes on --profile, --runs, --from, --format, --diff."""
    _table(session, "4")


@nox.session(default=False)
def tables(session: nox.Session) -> None:
    """Collects and prints Tables 1-17; passes on --profile, --runs, --from, --format and --diff."""
    _table(session, *map(str, range(1, 18)))


def _table(session: nox.Session, *numbers: str) -> None:
    if not _options(session.posargs, "--from"):
        _collect(session)
    for number in numbers:
        _repro(session, "table", number, *session.posargs)


@nox.session(default=False)
def figures(session: nox.Session) -> None:
    """Collects and draws the figures; passes on --profile, --runs and --from."""
    if not _options(session.posargs, "--from"):
        _collect(session)
    for name in FIGURES:
        _repro(session, "figure", name, *session.posargs)


@nox.session(default=False)
def trend(session: nox.Session) -> None:
    """Collects and tests the trend of Appendix B; passes on --profile, --runs and --from."""
    if not _options(session.posargs, "--from"):
        _collect(session)
    _repro(session, "evidence", "trend", *session.posargs)


@nox.session(default=False)
def rebuild(session: nox.Session) -> None:
    """Writes all tables, figures and tests and the report from results/study, without training.

    Passes on --from, --profile and --to.
    """
    folder = ROOT / "results" / "study"
    default = ("--from", str(folder), "--profile", str(folder / "study.toml"))
    named = _options(session.posargs, "--from")
    _repro(session, "rebuild", *([] if named else default), *session.posargs)


@nox.session(default=False)
def report(session: nox.Session) -> None:
    """Collects and writes the HTML report; passes on --profile, --runs and --from."""
    if not _options(session.posargs, "--from"):
        _collect(session)
    _repro(session, "report", *session.posargs)
