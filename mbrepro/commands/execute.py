"""One notebook through papermill: in this environment's Python, telling how far it is, a failure in one sentence."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import papermill
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from mbrepro import paths
from mbrepro.errors import InputError

ENGINE = "mbrepro"
for chatter in ("papermill", "asyncio"):  # how a kernel ended is said below, once
    logging.getLogger(chatter).setLevel(logging.CRITICAL)
# Bars of the kernel's own work go to the terminal that mbrepro runs in, not into the notebook.
BARS_TO_THE_TERMINAL = (
    "import functools, sys, tqdm; "
    "tqdm.tqdm.__init__ = functools.partialmethod(tqdm.tqdm.__init__, file=sys.__stderr__, leave=False); "
    "del functools, sys, tqdm"
)
KERNEL_OPTIONS = (
    "--IPKernelApp.log_level=ERROR",  # it warns about its own transport on every start
    "--IPKernelApp.capture_fd_output=False",  # the terminal stays where it is
    f"--IPKernelApp.exec_lines={BARS_TO_THE_TERMINAL}",
)


def execute(name: str, source: Path, output: Path, values: Mapping[str, object], kernel: "WarmKernel") -> None:
    """Execute a notebook with parameters in a kernel and write the executed copy, also of one that fails.

    Raises InputError with the last error if a cell fails, or its process ends.
    """
    # transformers asks for widgets that a printed book has no use for
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    how = {
        "parameters": dict(values), "engine_name": ENGINE, "kernel_name": "python3", "cwd": str(paths.root()),
        "progress_bar": False, "extra_arguments": kernel.options, "told_as": name,
    }  # fmt: skip
    try:
        try:
            papermill.execute_notebook(str(source), str(output), km=kernel.ready(), **how)
        except RuntimeError as error:  # another process was quicker to take a port that was free: no cell has run
            if "died before replying" not in str(error):
                raise
            papermill.execute_notebook(str(source), str(output), km=kernel.ready(), **how)
    except PapermillExecutionError as error:
        raise InputError(f"{name} stopped: {error.ename}: {error.evalue}") from error
    except DeadKernelError as error:
        raise InputError(
            f"{name} stopped: its process was killed, most likely because memory ran out; what was finished is kept"
        ) from error
    except RuntimeError as error:  # nbclient's, if the kernel does not come up
        raise InputError(f"{name} did not start: {error}") from error
    finally:
        tell("")


class _ThisPython(KernelSpecManager):
    """This environment's Python whatever kernels are installed, and whatever the notebook asks for."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


class _Kernel(AsyncKernelManager):
    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return _ThisPython()


class WarmKernel:
    """A kernel for several notebooks, one after another, that imports their modules once; to be closed.

    Each finds it without any names, and its counter at 1: what is run in it is as in a kernel of its own. What the
    user has set for IPython, and would run at its start, is left aside.
    """

    def __init__(self) -> None:
        self._manager = _Kernel()
        self._ipython = tempfile.TemporaryDirectory(prefix="mbrepro-")
        self.options = (*KERNEL_OPTIONS, f"--IPKernelApp.ipython_dir={self._ipython.name}")

    def ready(self) -> AsyncKernelManager:
        """The kernel without names; another one, not started yet, in the place of one that died."""
        if self._manager.has_kernel and run_sync(self._manager.is_alive)():
            client = self._manager.blocking_client()
            client.start_channels()
            # Without a __spec__ of __main__, which is among the names, multiprocessing starts no worker.
            again = "get_ipython().reset(); get_ipython().user_module.__spec__ = None"
            client.execute(again, silent=True, reply=True, timeout=60)
            client.stop_channels()
        elif self._manager.has_kernel:
            self._end()
            self._manager = _Kernel()
        return self._manager

    def close(self) -> None:
        """End it."""
        self._end()
        self._ipython.cleanup()

    def _end(self) -> None:
        run_sync(self._manager.shutdown_kernel)(now=True)


class _Engine(NBClientEngine):
    """papermill's engine with this environment's kernel, and a word before each cell."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, told_as: str = "", **options: object) -> None:
        begin = nb_man.cell_start

        def cell_start(cell: NotebookNode, cell_index: int | None = None, **more: object) -> None:
            if cell.cell_type == "code":
                tell(where(nb_man.nb, cell_index, told_as))
            begin(cell, cell_index, **more)

        nb_man.cell_start = cell_start
        # at once: a kernel that is asked to end in the middle of its work complains on the terminal
        options |= {"kernel_manager_class": _Kernel, "shutdown_kernel": "immediate"}
        options["iopub_timeout"] = 120  # seconds that a kernel may take to say what a cell gave, on a busy machine
        super().execute_managed_notebook(nb_man, kernel_name, **options)


papermill_engines.register(ENGINE, _Engine)


def where(notebook: NotebookNode, index: int, name: str) -> str:
    """Which of a notebook's code cells is at an index, and under which heading."""
    code = [place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    text = [cell.source for cell in notebook.cells[:index] if cell.cell_type == "markdown"]
    headings = [line.lstrip("# ") for source in text for line in source.splitlines() if line.startswith("#")]
    return f"{name}, cell {code.index(index) + 1} of {len(code)}" + (f": {headings[-1]}" if headings else "")


def tell(text: str) -> None:
    """Say how far it is: on a terminal in one line that the next replaces, otherwise in a line of its own."""
    if sys.stderr.isatty():
        columns = shutil.get_terminal_size().columns
        print(f"\r\033[K{text[: columns - 1]}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)
