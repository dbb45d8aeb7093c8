"""`mbrepro book`: executed notebooks and generated parts beside the written pages, then jupyter-book."""

import shutil
import subprocess
import sys
from pathlib import Path

from bs4 import BeautifulSoup

from mbrepro import paths
from mbrepro.artifacts import write_text
from mbrepro.commands.options import Profile, Run
from mbrepro.commands.runner import executed, notebook_names
from mbrepro.errors import InputError
from mbrepro.report import page
from mbrepro.study import poster, results


def command(profile: Profile = "demo", run: Run = "") -> None:
    """Build the book and print its first page."""
    print(build(profile, run))


def place(profile: str, run: str = "") -> Path:
    """Where a book is staged and built: the study's folder, or the folder of a run of one's own."""
    return paths.results(profile, run) if run else paths.root()


def build(profile: str, run: str = "") -> Path:
    """Build `_build/html` from the executed notebooks and results of a study or a run; return its index page.

    Every page is built anew: a page that glues another's number would otherwise keep the old one.
    Raises InputError if a notebook has not been run, or jupyter-book reports any warning.
    """
    folder = executed(profile, run)
    missing = [name for name in notebook_names() if not (folder / f"{name}.ipynb").exists()]
    if missing:
        told = f"run {run}: its book needs mbrepro run --all" if run else f"profile {profile}: run make reproduce first"
        raise InputError(f"{', '.join(missing)} has not been run for {told}")
    output, source = place(profile, run), _stage(profile, run)
    command = [
        str(Path(sys.executable).with_name("jupyter-book")), "build", str(source), "--path-output", str(output),
        "--config", str(paths.SOURCE / "_config.yml"), "--all", "-W", "--keep-going",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    log = output / "_build" / "build.log"
    write_text(log, done.stdout + done.stderr)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-1:]
        raise InputError(f"the book did not build: {' '.join(told[:1])} (all of it in {log})")
    return output / "_build" / "html" / "index.html"


def verify(profile: str, run: str = "") -> int:
    """Compare the table on the built index page with the stored rows, cell by cell; return the number of cells.

    Raises InputError if there is no page, or it shows another table.
    """
    page = place(profile, run) / "_build" / "html" / "index.html"
    if not page.exists():
        raise InputError(f"there is no {page}: run make book first")
    folder = paths.results(profile, run)
    (stored,) = _cells(_table(folder))
    if stored not in _cells(page.read_text(encoding="utf-8")):
        raise InputError(f"{page} shows another table than {folder / 'table.csv'}: run make book")
    return sum(map(len, stored))


def _cells(page: str) -> list[list[list[str]]]:
    """Texts of every table's cells, row by row."""
    tables = BeautifulSoup(page, "html.parser").find_all("table")
    return [
        [[cell.get_text(strip=True) for cell in row.find_all(["th", "td"])] for row in t.find_all("tr")] for t in tables
    ]


def _table(folder: Path) -> str:
    source = "simulated" if "simulated" in results.sources(folder) else "CalMS21"
    return page.study_table(results.read_rows(folder), source)


def _notice(folder: Path) -> str:
    rows = results.read_rows(folder)
    partial = rows.loc[rows["partial"] != "", ["row", "partial"]].drop_duplicates()
    told = [f"{poster.TITLES[row.row]}: {row.partial}" for row in partial.itertuples()]
    return page.source_notice(results.sources(folder), told)


def _stage(profile: str, run: str) -> Path:
    """Lay the book's sources out with what this study or run adds; another's executed notebooks are removed."""
    source, folder = place(profile, run) / "book", paths.results(profile, run)
    if source != paths.SOURCE / "book":
        theirs = shutil.ignore_patterns("notebooks", "_generated")
        shutil.copytree(paths.SOURCE / "book", source, ignore=theirs, dirs_exist_ok=True)
    for part in ("notebooks", "_generated"):
        shutil.rmtree(source / part, ignore_errors=True)
        (source / part).mkdir()
    for name in notebook_names():
        shutil.copy(executed(profile, run) / f"{name}.ipynb", source / "notebooks")
    write_text(source / "_generated" / "banner.md", _notice(folder) + "\n")
    write_text(source / "_generated" / "table.md", _table(folder) + "\n")
    write_text(source / "_generated" / "sure.md", page.how_sure(results.read_rows(folder)) + "\n")
    return source
