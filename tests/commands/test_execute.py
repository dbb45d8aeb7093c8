"""One notebook's execution: this environment's kernel, progress, a killed kernel, and nothing left running."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from mbrepro.commands import execute, runner
from mbrepro.errors import InputError
from tests.fixtures.notebooks import write_notebook
from tests.fixtures.processes import gone

STARTED = """
import os
from pathlib import Path
from mbrepro.data.processes import side_by_side
from tests.fixtures.processes import note_and_sleep
os.cpu_count = lambda: 2
Path("pids").mkdir()
Path("kernel").write_text(str(os.getpid()))
side_by_side([(note_and_sleep, Path("pids"))] * 2, "sleep", "job")
"""
MAIN = "import sys; from pathlib import Path; from mbrepro import cli, paths; paths.notebooks = lambda: Path({!r}); "


def mbrepro(study: Path, *arguments: str, **how) -> subprocess.Popen:
    """The command line in a process of its own, with the notebooks of a study folder."""
    begun = f"Path({str(study / 'begun')!r}).touch(); "
    code = MAIN.format(str(study / "notebooks")) + begun + "sys.exit(cli.main(sys.argv[1:]))"
    # the kernels it starts import what a test's notebook takes from the tests
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, **how)


def test_the_kernel_is_this_python_whatever_is_installed(study, monkeypatch):
    kernels = study / "jupyter/kernels"
    for name in ("python3", "mbrepro", "of-a-deleted-environment"):
        (kernels / name).mkdir(parents=True)
        (kernels / name / "kernel.json").write_text('{"argv": ["/gone/bin/python", "{connection_file}"]}')
    monkeypatch.setenv("JUPYTER_PATH", str(study / "jupyter"))
    write_notebook(study / "notebooks", "toy", "import sys\nprint(sys.executable)")
    runner.run_study("demo", {})
    cells = nbformat.read(study / "results/demo/notebooks/toy.ipynb", as_version=4).cells
    assert cells[-1].outputs[0].text.strip() == sys.executable


def test_what_a_user_set_for_ipython_and_figures_changes_nothing(study, tmp_path, monkeypatch):
    """A start-up file that takes a name away, all expressions shown instead of the last, lines of another width."""
    profile = tmp_path / "ipython" / "profile_default"
    (profile / "startup").mkdir(parents=True)
    (profile / "startup" / "00.py").write_text("import builtins\ndel builtins.sorted")
    (profile / "ipython_config.py").write_text("get_config().InteractiveShell.ast_node_interactivity = 'all'")
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nsavefig.dpi: 7")
    style = "import matplotlib\nfrom mbrepro.report import plots\nplots.set_style()\n"
    write_notebook(study / "notebooks", "toy", style + "sorted([2, 1])\nlist(matplotlib.rcParams.items())")
    shown = []
    for number in range(2):
        runner.run_study("demo", {"count": number})
        cells = nbformat.read(study / "results/demo/notebooks/toy.ipynb", as_version=4).cells
        shown.append(cells[-1].outputs)
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / "matplotlibrc"))
    assert shown[0] == shown[1] and "lines.linewidth" in str(shown[0]) and "[1, 2]" not in str(shown[0])


def test_a_killed_kernel_is_said_in_one_sentence(study, capfd):
    write_notebook(study / "notebooks", "toy", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(InputError, match="toy stopped: its process was killed, most likely because memory ran out"):
        runner.run_study("demo", {})
    folder = study / "results/demo/notebooks"
    assert [path.name for path in folder.iterdir()] == ["failed"]
    assert all(line.startswith("toy, cell") for line in capfd.readouterr().err.splitlines())


def test_each_cell_is_announced_with_its_heading(study, capsys):
    runner.run_study("demo", {})
    # papermill has put the given parameters into a cell of their own
    assert capsys.readouterr().err.splitlines() == [
        "toy, cell 1 of 3", "toy, cell 2 of 3", "toy, cell 3 of 3: Harder work",
    ]  # fmt: skip


def test_a_bar_inside_a_notebook_shows_on_the_terminal_and_not_in_the_book(study):
    body = "from tqdm import tqdm\nfor _ in tqdm(range(3), 'learning', disable=None): pass\nprint('done')"
    write_notebook(study / "notebooks", "toy", body)
    ours, theirs = pty.openpty()
    child = mbrepro(study, "run", "toy", stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 1024)
        except OSError:  # Linux says so when the other side is closed
            break
        if not part:
            break
        shown += part
    assert child.wait() == 0
    assert b"learning:   0%" in shown and b"cell 3 of 3: Harder work" in shown and b"\n" not in shown.strip()
    (output,) = nbformat.read(study / "results/demo/notebooks/toy.ipynb", as_version=4).cells[-1].outputs
    assert (output.name, output.text) == ("stdout", "done\n")


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running_when_mbrepro_is_ended(study, kill):
    write_notebook(study / "notebooks", "toy", STARTED)
    child = mbrepro(study, "run", "toy", stderr=subprocess.PIPE, text=True)
    while not (study / "pids").exists() or len(list((study / "pids").iterdir())) < 2:
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.1)
    pids = [int((study / "kernel").read_text()), *(int(path.name) for path in (study / "pids").iterdir())]
    pids += [process.pid for process in psutil.Process(child.pid).children(recursive=True)]
    child.send_signal(kill)
    _, said = child.communicate(timeout=60)
    assert gone(pids)
    if kill != signal.SIGKILL:
        assert child.returncode == 130
        assert said.strip().splitlines()[-1].startswith("mbrepro: stopped; what was finished is kept"), said
        assert "Traceback" not in said and "Kernel died" not in said
        assert not list((study / "results/demo/notebooks").iterdir())


@pytest.mark.parametrize("seconds", [0.05, 0.5, 1, 2, 4, 8])
def test_ctrl_c_at_any_moment_is_said_in_one_sentence(study, seconds):
    """While modules are imported, parameters are read, the kernel starts, or a cell runs."""
    write_notebook(study / "notebooks", "toy", "import time\ntime.sleep(60)")
    child = mbrepro(study, "run", "toy", stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (study / "begun").exists():
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    _, said = child.communicate(timeout=60)
    assert "Traceback" not in said and child.returncode == 130, said


def test_heading_of_a_cell_is_the_last_before_it(study):
    notebook = nbformat.read(study / "notebooks/toy.ipynb", as_version=4)
    assert execute.where(notebook, 0, "toy") == "toy, cell 1 of 2"
    assert execute.where(notebook, 2, "toy") == "toy, cell 2 of 2: Harder work"


@pytest.mark.parametrize("times", [1, 2])
def test_a_kernel_that_lost_its_port_to_another_is_started_once_more(tmp_path, monkeypatch, times):
    started = []

    def execute_notebook(*_, **how):
        started.append(how["told_as"])
        if len(started) <= times:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr(execute.papermill, "execute_notebook", execute_notebook)
    with contextlib.nullcontext() if times == 1 else pytest.raises(InputError, match="01_small did not start"):
        execute.execute("01_small", tmp_path / "a.ipynb", tmp_path / "b.ipynb", {}, execute.WarmKernel())
    assert started == ["01_small"] * 2
