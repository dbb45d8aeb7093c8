"""Build the book of one profile: executed notebooks and generated parts beside the written pages, then jupyter-book."""

import shutil
import subprocess
import sys
from pathlib import Path

from bs4 import BeautifulSoup

from mbrepro import paths
from mbrepro.artifacts import write_text
from mbrepro.commands.runner import notebook_names
from mbrepro.errors import InputError
from mbrepro.report import page
from mbrepro.study import poster, results


def build(profile: str) -> Path:
    """Build `_build/html` from a profile's executed notebooks and results; return its index page.

    Every page is built anew: a page that glues another's number would otherwise keep the old one.
    Raises InputError if a notebook has not been run, or jupyter-book reports any warning.
    """
    executed = paths.results(profile) / "notebooks"
    missing = [name for name in notebook_names() if not (executed / f"{name}.ipynb").exists()]
    if missing:
        raise InputError(f"{', '.join(missing)} has not been run for profile {profile}: run make reproduce first")
    source = _stage(profile, executed)
    command = [
        str(Path(sys.executable).with_name("jupyter-book")), "build", str(source), "--path-output", str(paths.root()),
        "--config", str(paths.SOURCE / "_config.yml"), "--all", "-W", "--keep-going",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    log = paths.root() / "_build" / "build.log"
    write_text(log, done.stdout + done.stderr)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-1:]
        raise InputError(f"the book did not build: {' '.join(told[:1])} (all of it in {log})")
    return paths.root() / "_build" / "html" / "index.html"


def verify(profile: str) -> int:
    """Compare the table on the built index page with the stored rows, cell by cell; return the number of cells.

    Raises InputError if there is no page, or it shows another table.
    """
    page = paths.root() / "_build" / "html" / "index.html"
    if not page.exists():
        raise InputError(f"there is no {page}: run make book first")
    (stored,) = _cells(_table(profile))
    if stored not in _cells(page.read_text(encoding="utf-8")):
        raise InputError(f"{page} shows another table than {paths.results(profile) / 'table.csv'}: run make book")
    return sum(map(len, stored))


def _cells(page: str) -> list[list[list[str]]]:
    """Texts of every table's cells, row by row."""
    tables = BeautifulSoup(page, "html.parser").find_all("table")
    return [
        [[cell.get_text(strip=True) for cell in row.find_all(["th", "td"])] for row in t.find_all("tr")] for t in tables
    ]


def _table(profile: str) -> str:
    folder = paths.results(profile)
    source = "simulated" if "simulated" in results.sources(folder) else "CalMS21"
    return page.study_table(results.read_rows(folder), source)


def _notice(folder: Path) -> str:
    rows = results.read_rows(folder)
    partial = rows.loc[rows["partial"] != "", ["row", "partial"]].drop_duplicates()
    told = [f"{poster.TITLES[row.row]}: {row.partial}" for row in partial.itertuples()]
    return page.source_notice(results.sources(folder), told)


def _stage(profile: str, executed: Path) -> Path:
    """Lay the book's sources out with what this profile adds; executed notebooks of another profile are removed."""
    source = paths.root() / "book"
    if source != paths.SOURCE / "book":
        shutil.copytree(paths.SOURCE / "book", source, dirs_exist_ok=True)
    for folder in ("notebooks", "_generated"):
        shutil.rmtree(source / folder, ignore_errors=True)
        (source / folder).mkdir()
    for name in notebook_names():
        shutil.copy(executed / f"{name}.ipynb", source / "notebooks")
    folder = paths.results(profile)
    write_text(source / "_generated" / "banner.md", _notice(folder) + "\n")
    write_text(source / "_generated" / "table.md", _table(profile) + "\n")
    write_text(source / "_generated" / "sure.md", page.how_sure(results.read_rows(folder)) + "\n")
    return source
