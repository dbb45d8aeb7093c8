"""Fetch CalMS21 from its record, a mirror or a folder: checked, resumed, and never into the project."""

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import filelock
from tqdm import tqdm

from mbrepro import paths
from mbrepro.data.calms21.download import connect
from mbrepro.data.calms21.origins import Folder, Server, file_facts
from mbrepro.data.calms21.release import (
    RELEASE_FILE,
    Fetched,
    Release,
    choose_videos,
    data_folder,
    fetched,
    file_size,
    has_video,
    is_url,
    normal,
    official,
    parse,
    record,
    released_json,
    write_release_file,
)
from mbrepro.errors import InputError

CONNECTIONS = 4


def fetch(
    tasks: Sequence[str] = ("task1", "task3"), videos: Sequence[str] = ("all",), source: str = "",
    verify: bool = False, connections: int = CONNECTIONS,
) -> Path:  # fmt: skip
    """Bring what is not there yet of CalMS21 to the source's data folder, and return that folder.

    tasks: "task1", "task3". videos: as `choose_videos` takes them. source: a mirror's URL, a folder with the zips or
    the unpacked release, or "" for the official record. verify: read everything that is there and compare SHA-256.
    What is already there is told by its size. Raises InputError, in one sentence, for whatever goes wrong; what was
    finished, and what came of the file in hand, is kept for the next call.
    """
    folder, source = data_folder(source), normal(source)
    _refuse_inside_project(folder)
    with _alone(folder):
        release = _release(folder, source)
        names = choose_videos(release, videos)
        tasks = [task for task in tasks if not _has_task(folder, task)]
        lacking = [name for name in names if not has_video(folder, release, name)]
        if tasks or lacking:
            _bring(folder, source, release, tasks, names, connections)
        else:
            print("Everything asked for is already there; nothing was fetched.")
        _note(folder, source, release)
        if verify:
            _verify(folder, source, release)
    return folder


def chosen_videos(wanted: Sequence[str], source: str = "") -> list[str]:
    """Names of the videos that `fetch` would bring; a source that was fetched before is not asked again."""
    return choose_videos(_release(data_folder(source), normal(source)), wanted)


def _refuse_inside_project(folder: Path) -> None:
    for project in (paths.SOURCE, paths.root()):
        if folder.resolve().is_relative_to(project.resolve()):
            raise InputError(
                f"{folder}: lies inside the project, which never holds data; set MBREPRO_DATA to a folder elsewhere"
            )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with filelock.FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0):
            yield
    except filelock.Timeout as error:
        raise InputError(f"{folder}: another mbrepro fetch is writing there; wait for it to end") from error


def _release(folder: Path, source: str) -> Release:
    """The release of a source; a server that was fetched from before is not asked again."""
    known = fetched(folder)
    if known is None:
        return _ask_release(source)
    path = folder / RELEASE_FILE
    kept = parse(path.read_text(encoding="utf-8"), path) if path.is_file() else official()
    if known.simulated != kept.simulated or known.source != (source or kept.url):
        raise InputError(f"{folder}: holds data fetched from {known.source}; delete it, or keep to that source")
    return kept if is_url(source) else _same_release(folder, source, kept)


def _same_release(folder: Path, source: str, kept: Release) -> Release:
    if (asked := _ask_release(source)) != kept:
        raise InputError(f"{folder}: holds another release than {source} has now; delete the folder and fetch again")
    return asked


def _ask_release(source: str) -> Release:
    """The official release, unless what lies at the source says of itself that it is simulated."""
    text = None
    if is_url(source):
        text = connect(1).text(f"{source}/{RELEASE_FILE}")
    elif source and not Path(source).is_dir():
        raise InputError(f"{source}: no such folder; --from takes a folder or a URL starting with http")
    elif source and (path := Path(source) / RELEASE_FILE).is_file():
        text = path.read_text(encoding="utf-8")
    if text is not None:
        with contextlib.suppress(InputError):  # somebody's own file of that name
            if (own := parse(text, source)).simulated is True:
                return own
    return official()


def _has_task(folder: Path, task: str) -> bool:
    known = fetched(folder)
    return known is not None and all(
        str(path) in known.files and file_size(folder / path) == known.files[str(path)]["size"]
        for path in released_json(task)
    )


def _note(
    folder: Path, source: str, release: Release, files: Mapping[str, Mapping] | None = None,
    zips: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Record what is there now, and `files` and `zips` that have just come."""
    summary = {key: getattr(release, key) for key in ("title", "doi", "notice", "simulated")}
    held = [name for name in release.videos if has_video(folder, release, name)]
    today = datetime.date.today().isoformat()
    known = fetched(folder) or Fetched(source or release.url, summary, today, {}, {}, {})
    now = {"held": held, "of": len(release.videos)}
    record(
        folder, replace(known, files={**known.files, **(files or {})}, zips={**known.zips, **(zips or {})}, videos=now)
    )


def _bring(
    folder: Path, source: str, release: Release, tasks: list[str], names: list[str], connections: int
) -> None:  # fmt: skip
    """Show and record the notice, see that there is room, then bring poses and labels, and then videos."""
    print(release.notice, flush=True)
    if is_url(source) and fetched(folder) is not None:
        _same_release(folder, source, release)
    if release.simulated:
        write_release_file(folder, release)
    _note(folder, source, release)
    scratch = folder.with_name(f"{folder.name}.partial")
    scratch.mkdir(exist_ok=True)
    make = Server if is_url(source) or not source else Folder
    origin = make(folder, source, release, scratch, connections)
    try:
        origin.prepare(tasks, names)
        for task in tasks:
            files, zips = origin.bring_task(task)
            _note(folder, source, release, files, zips)
            origin.forget(task)
        for _ in origin.bring_videos([name for name in names if not has_video(folder, release, name)]):
            _note(folder, source, release)
    finally:
        origin.close()
        with contextlib.suppress(OSError):  # it still holds what the next call goes on with
            scratch.rmdir()


def _verify(folder: Path, source: str, release: Release) -> None:
    """Compare the SHA-256 of everything that is there; what is wrong loses its place and is named in an InputError."""
    known = fetched(folder)
    expected = {Path(path): facts["sha256"] for path, facts in known.files.items()}
    expected |= {release.video_path(name): release.videos[name].sha256 for name in known.videos["held"]}
    wrong = []
    for path, sha256 in tqdm(expected.items(), "verify", unit="file", disable=None):
        if not (folder / path).is_file() or file_facts(folder / path)["sha256"] != sha256:
            wrong.append(str((folder / path).resolve()))
            (folder / path).unlink(missing_ok=True)
    if wrong:
        _note(folder, source, release)
        raise InputError(
            f"{', '.join(wrong)}: not the released bytes, and so taken out of {folder}; fetch again to have them anew"
        )
    print(f"All {len(expected)} files have the right SHA-256.")
