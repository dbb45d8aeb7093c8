"""`mbrepro book`: executed notebooks and generated parts beside the written pages, then jupyter-book.

`verify` reads the built pages back: whatever stands in them from results must be what the results say now.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from bs4 import BeautifulSoup, Tag

from mbrepro import paths
from mbrepro.artifacts import write_text
from mbrepro.commands import copies, provenance
from mbrepro.commands.options import Data, Profile, Run, use_profile
from mbrepro.commands.runner import notebook_names
from mbrepro.errors import InputError
from mbrepro.report import claims, faults, front, graph, page, prose, real
from mbrepro.study import ablations, beyond, poster, recorded, results
from mbrepro.study.parameters import runs_stage2
from mbrepro.study.two_stages import ALWAYS, always

GLUED = re.compile(r"\{glue:text\}`(?:(?P<page>[^`]*?)::)?(?P<key>[^`:]+):(?P<form>[^`:]*)`")
TAKEN = {"recordings": r"\bload_dataset\(", "recorded figures": r"\brecorded|\brows_shown\("}  # by which code
OF_ROWS = {"table", "sure", "lead"}  # generated parts
NETWORKS, EMBEDDINGS = "networks", "embeddings"
INCLUDED = re.compile(r"\{include\} (?:\.\./)?_generated/(\w+)\.md")


def command(profile: Profile = "demo", data: Data = None, run: Run = "") -> None:
    """Build the book and print its first page."""
    use_profile(profile, data=data, poses=True)
    print(build(profile, run))


def place(profile: str, run: str = "") -> Path:
    """Where a book is staged and built: the study's folder, or the folder of a run or of recordings of one's own."""
    return paths.results(profile, run) if run or profile == paths.OWN else paths.root()


def build(profile: str, run: str = "") -> Path:
    """Build `_build/html` from the executed notebooks and results of a study or a run; return its index page.

    Every page is built anew: a page that glues another's number would otherwise keep the old one.
    Raises InputError if a notebook has not been run, or jupyter-book reports any warning.
    """
    folder, output = paths.results(profile, run), place(profile, run)
    missing = [name for name, path in _copies(folder, profile).items() if not path.exists()]
    if missing:
        told = f"run {run}: its book needs mbrepro run --all" if run else f"profile {profile}: run make reproduce first"
        raise InputError(f"{', '.join(missing)} has not been run for {told}")
    provenance.write_manifest(folder)
    command = [
        str(Path(sys.executable).with_name("jupyter-book")), "build", str(_stage(folder, profile, output / "book")),
        "--path-output", str(output), "--config", str(_config(profile, output)), "--all", "-W", "--keep-going",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    log = output / "_build" / "build.log"
    write_text(log, done.stdout + done.stderr)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-1:]
        raise InputError(f"the book did not build: {' '.join(told[:1])} (all of it in {log})")
    return output / "_build" / "html" / "index.html"


def _config(profile: str, output: Path) -> Path:
    """The book's configuration; of one's own recordings with another title, as the study's is the poster's."""
    config = paths.SOURCE / "_config.yml"
    if profile != paths.OWN:
        return config
    text = re.sub("(?m)^title: .*", "title: Your recordings", config.read_text(encoding="utf-8"))
    write_text(output / config.name, text)
    return output / config.name


def _stage(folder: Path, profile: str, source: Path) -> Path:
    """Lay the book's sources out in `source` with what a results folder adds; what another added is removed."""
    if source != paths.SOURCE / "book":
        theirs = shutil.ignore_patterns("notebooks", "_generated", "own")
        shutil.copytree(paths.SOURCE / "book", source, ignore=theirs, dirs_exist_ok=True)
    if profile == paths.OWN:
        shutil.copytree(paths.SOURCE / "book" / "own", source, dirs_exist_ok=True)
    for part in ("notebooks", "_generated"):
        shutil.rmtree(source / part, ignore_errors=True)
        (source / part).mkdir()
    for name, path in _copies(folder, profile).items():
        write_text(source / "notebooks" / f"{name}.ipynb", nbformat.writes(copies.as_page(path, profile)))
        for file, text in copies.data_of(path).items():
            write_text(source / "notebooks" / "csv" / name / file, text)
    for name, text in _generated(folder, profile).items():
        write_text(source / "_generated" / f"{name}.md", f'<div class="mb-generated">{text}</div>\n')
    return source


def _generated(folder: Path, profile: str) -> dict[str, str]:
    """The parts of pages that are made of the results of several notebooks, as HTML by their names."""
    stored, rows = results.sources(folder), results.read_rows(folder)
    if profile == paths.OWN:
        return {"banner": page.source_notice(stored), "table": front.own_table(rows)}
    source = "simulated" if "simulated" in stored else "CalMS21"
    glued = {key: value for path in _copies(folder, profile).values() for key, value in copies.glued(path).items()}
    ablation = ablations.recorded_table()[1] if recorded.path_of(ablations.PAGE).exists() else None
    found = {row: results.read_row(row, "corrected", folder) for row in poster.ROWS}
    trivial = [results.score(row, "corrected", always(runs)) for row, runs in found.items() if runs]
    every = pd.concat([rows, *(part.assign(protocol=ALWAYS, partial="") for part in trivial)])
    both = [found[row] for row in ("baseline", "pose_vlm")]
    watched = {name: float(glued[f"watched_{name}"]) for name in results.PROTOCOLS if f"watched_{name}" in glued}
    partial = rows.loc[rows["partial"] != "", ["row", "partial"]].drop_duplicates()
    parts = [f"{poster.TITLES[row.row]}: {row.partial}" for row in partial.itertuples()]
    boxes = {"index": claims.first_box(source), "claims": claims.claims_table(claims.claims(glued, source))}
    return {
        "banner": page.source_notice(stored, parts),
        "graph": graph.graph(*_edges(folder, profile, boxes)),
        "made_by": page.table(provenance.made_by(provenance.read_manifest(folder)), "notebook", words=True).data,
        "first_box": boxes["index"],
        "claims": boxes["claims"],
        "kills": faults.kills_table(),
        "fuzz": faults.fuzz_table(),
        "mutants": faults.mutants_table(),
        "figure": real.summary_figure(),
        "sources": real.sources_table(),
        "real": real.summary_table(),
        "table": front.study_table(every, watched, source),
        "sure": prose.how_sure(rows),
        "lead": prose.lead(results.difference(*both) if all(both) else None, source),
        "corrections": prose.corrections(rows, glued, ablation),
        "result_beyond": _beyond(folder, source),
        "result_gate": prose.look_result(glued, source),
        "result_language": prose.language_result(glued, source),
        "result_ablation": prose.ablation_result(ablation),
        "result_space": prose.space_result(glued, source),
    } | {f"result_{row}": prose.result(every, row, source) for row in poster.ROWS}


def _edges(
    folder: Path, profile: str, boxes: Mapping[str, str]
) -> tuple[dict[str, set[str]], dict[str, set[str]], list[str], dict[str, str]]:
    """What each notebook takes, by its code and parameters; the rows and pages it gives to; all of these in order; and
    where pages lie. boxes: HTML on some pages, whose links say what it quotes."""
    told, takes, gives = provenance.read_manifest(folder)["notebooks"], {}, {}
    pages = {path.stem: path.read_text(encoding="utf-8") for path in sorted((paths.SOURCE / "book").glob("*.md"))}
    quoted = {name: {Path(found["page"] or "").stem for found in GLUED.finditer(text)} for name, text in pages.items()}
    for name, box in boxes.items():
        quoted[name] |= {*re.findall(r'href="notebooks/(\w+)\.html', box)}
    tabled = {name for name, text in pages.items() if OF_ROWS & {*INCLUDED.findall(text)}}
    for name, path in _copies(folder, profile).items():
        code = "".join(cell.source for cell in copies.read(path).cells if cell.cell_type == "code")
        trains = bool(told[name]["parameters"].keys() & {"epochs", "baseline_epochs", "seeds"})
        takes[name] = {what for what, word in TAKEN.items() if re.search(word, code)}
        takes[name] |= {what for what, so in {NETWORKS: trains, EMBEDDINGS: runs_stage2(name)}.items() if so}
        rows = {Path(file).stem.split("-")[0] for file in told[name]["wrote"] if file.startswith("rows/")}
        gives[name] = rows | {page for page in pages if name in quoted[page] or (rows and page in tabled)}
    links = {name: f"notebooks/{name}.html" for name in takes} | {name: f"{name}.html" for name in pages}
    return takes, gives, [*TAKEN, NETWORKS, EMBEDDINGS, *poster.ROWS, *pages], links


def _beyond(folder: Path, source: str) -> str:
    """What page 12 begins with: its chosen line against the baseline."""
    ours, baseline = (results.read_row("baseline", name, folder) for name in (results.BEYOND, "corrected"))
    return prose.beyond_result(beyond.differences(ours, baseline), source) if ours and baseline else ""


def verify(profile: str, run: str = "") -> int:
    """Find everything that pages show of results in the built book; return the number of places compared.

    Executed notebooks must be as their runs left them, what they glue of the table's rows must be those rows, and every
    one of the `places` must hold what the results say. Raises InputError naming the first that does not.
    """
    folder, count = paths.results(profile, run), 0
    for path in _copies(folder, profile).values():
        if fault := copies.fault(path, folder):
            raise InputError(f"{fault}: run make reproduce")
    for built, what, shows, should in places(folder, place(profile, run) / "_build" / "html", profile):
        if shows != should:
            raise InputError(f"{built}: {what} is {shows!r}, and the results say {should!r}: run make book")
        count += 1
    return count


def _copies(folder: Path, profile: str) -> dict[str, Path]:
    """Where the executed copy of each notebook lies, or would lie."""
    return {name: folder / "notebooks" / f"{name}.ipynb" for name in notebook_names(profile)}


def places(folder: Path, html: Path, profile: str = "demo") -> Iterator[tuple[Path, str, str, str]]:
    """Every place where a built book shows results: the page, what stands there, as it stands, and as it should.

    Glued numbers lie in the order and formats that the page's source gives them, texts of a notebook's tables and
    notices as it printed them, and generated parts are made again. Nothing is taken from the page that it is compared
    with. Raises InputError if a page is missing, or a notebook glues another value of a row than the row's file holds.
    """
    glued = {name: copies.glued(path) for name, path in _copies(folder, profile).items()}
    _check_glued(results.read_rows(folder), glued)
    generated = _generated(folder, profile)
    pages = paths.SOURCE / "book" / ("own" if profile == paths.OWN else "")
    written = {path.stem: path for path in sorted(pages.glob("*.md"))}
    executed = {f"notebooks/{name}": path for name, path in _copies(folder, profile).items()}
    for name, source in (written | executed).items():
        path = html / f"{name}.html"
        if not path.exists():
            raise InputError(f"there is no {path}: run make book first")
        built = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        text = copies.prose(source)
        made = [generated[part] for part in INCLUDED.findall(text)]
        outputs = copies.shown(source) if source.suffix == ".ipynb" else []
        for place in (
            *_numbers(text, Path(name).name, glued, built),
            *_texts("generated part", made, built, ".mb-generated"),
            *_texts("output", outputs, built, ".output.text_html"),
        ):
            yield path, *place


def _numbers(text: str, here: str, glued: dict, built: BeautifulSoup) -> Iterator[tuple[str, str, str]]:
    """What each glued number of a page is, as it stands and as its notebook has it."""
    stands = [element.get_text() for element in built.select("span.pasted-text")]
    for found, shows in zip_longest(GLUED.finditer(text), stands, fillvalue=""):
        if not found:
            yield "one more number", shows, ""
            continue
        notebook = Path(found["page"]).stem if found["page"] else here
        yield f"{found['key']} of {notebook}", shows, format(float(glued[notebook][found["key"]]), found["form"])


def _texts(what: str, parts: list[str], built: BeautifulSoup, where: str) -> Iterator[tuple[str, str, str]]:
    """Every text of a page's elements, as it stands and as it should."""
    wanted = [BeautifulSoup(part, "html.parser") for part in parts]
    for number, (shows, should) in enumerate(zip_longest(built.select(where), wanted), 1):
        for piece, pair in enumerate(zip_longest(_strings(shows), _strings(should), fillvalue=""), 1):
            yield f"{what} {number}, text {piece}", *pair


def _strings(part: Tag | None) -> list[str]:
    """What a part says, and what scripts in it hold."""
    texts = [*part.stripped_strings, *(script.get_text() for script in part.select("script"))] if part else []
    return [re.sub(r"\s+", " ", text) for text in texts]


def _check_glued(rows: pd.DataFrame, glued: dict[str, dict[str, str]]) -> None:
    """Raise InputError if a notebook glues another value for a row of the table than the row's file holds."""
    wanted = page.row_numbers(rows)
    for name, values in glued.items():
        for key in sorted(values.keys() & wanted):
            if not np.isclose(float(values[key]), wanted[key], rtol=0, atol=1e-9, equal_nan=True):
                told = f"{key} is glued as {values[key]}, and its row says {wanted[key]}"
                raise InputError(f"{name}: {told}: run make reproduce")
