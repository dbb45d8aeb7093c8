"""`mbrepro predict`: a model on recordings of one's own, or both stages of the study on one of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from mbrepro import paths
from mbrepro.artifacts import remove_partial
from mbrepro.commands.options import Cpu, Profile, Source, check_patience, pair, positive, use_profile, writable
from mbrepro.errors import InputError
from mbrepro.report.labelled_video import write_labelled_video
from mbrepro.study.carried import Labeller, label, official_model, own_model
from mbrepro.study.predict import Compared, predict

OFFICIAL, DEMO = "official", "demo"
SEVERAL = "FILE, of mbrepro train, or --model official --stage1-only, CalMS21's own network of real mice"
CHOICES = f"--model {SEVERAL}; --model demo, models of simulated mice; or --profile calms21, the study's on CalMS21"
PARTS = "PART=NAME, such as left_hip=lefthindpaw"
AnyModel = Annotated[
    str,
    typer.Option(
        "--model",
        help="a file of mbrepro train; official: CalMS21's own network, trained on real mice (mbrepro fetch official), "
        "alone with --stage1-only or as stage 1 of a profile; demo: the study's models of simulated mice; profile "
        "calms21: the vision-language model, ID@COMMIT or a folder",
        show_default=False,
    ),
]
Compare = Annotated[
    tuple[Path, str] | None,
    typer.Option(
        metavar="EVENTS BEHAVIOUR",
        help="a label file and one of its behaviours; how well P(action) tells it goes into the notes",
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help="with --poses: the video; without one, only stage 1 can run. With a model of mbrepro train, or official "
        "--stage1-only: pose files, or folders with a manifest"
    ),
]
Poses = Annotated[
    Path | None,
    typer.Option(
        help="DeepLabCut or SLEAP analysis csv or h5, CalMS21 or MARS JSON, MABe arrays, or a folder of one an animal"
    ),
]
Animals = Annotated[tuple[str, str] | None, typer.Option(metavar="RESIDENT INTRUDER", help="which two tracked animals")]
Pairs = Annotated[
    Literal["all"] | None, typer.Option(help="with a model that takes several files: every two animals, in both orders")
]
Parts = Annotated[
    list[str] | None,
    typer.Option(metavar="PART=NAME", help="the file's name of one of the model's parts, or of resident:PART"),
]
Offset = Annotated[
    tuple[float, float] | None, typer.Option(metavar="X Y", help="px to add to the poses, if a crop was tracked")
]
Share = Annotated[
    float | None,
    typer.Option(
        help="with a model of mbrepro train that looks at video: of the seconds of what poses propose, how much is "
        "looked at, from 0 to 1; its own if not given",
        show_default=False,
    ),
]
Align = Annotated[
    str | None, typer.Option(metavar="start|end", help="the end that poses and a trimmed video have in common")
]


def command(
    out: Annotated[Path, typer.Option(help="folder for the predictions", show_default=False)],
    files: Files = None,
    poses: Poses = None,
    stage1_only: Annotated[bool, typer.Option("--stage1-only", help="poses alone, no video")] = False,
    individuals: Animals = None,
    pairs: Pairs = None,
    parts: Parts = None,
    sequence: Annotated[str | None, typer.Option(help="which sequence of a CalMS21 JSON")] = None,
    fps: Annotated[float | None, typer.Option(help="frames per second, if there is no video to tell")] = None,
    frame_size: Annotated[tuple[int, int] | None, typer.Option(metavar="WIDTH HEIGHT", help="px, likewise")] = None,
    offset: Offset = None,
    align: Align = None,
    share: Share = None,
    min_score: Annotated[float, typer.Option(help="keypoints of less confidence are interpolated")] = 0.0,
    compare: Compare = None,
    point_seconds: Annotated[float | None, typer.Option(help="how long its point events last, if it has any")] = None,
    video_out: Annotated[bool, typer.Option("--video-out", help="also a video with poses, labels and scores")] = False,
    profile: Profile = "", model: AnyModel = "", source: Source = "", cpu: Cpu = False,
) -> None:  # fmt: skip
    """Write the labels of every frame and print the files' names."""
    remove_partial(writable(out))
    if (poses and len(files or []) > 1) or not (poses or files):
        raise InputError("name the poses of one recording with --poses and its video, or several pose files without it")
    video, film = files[0] if poses and files else None, write_labelled_video if video_out else None
    named = dict(pair("--parts", PARTS, text) for text in parts or [])
    how = {
        "individuals": individuals, "parts": named, "sequence": sequence, "film": film, "fps": fps, "align": align,
        "compare": _compare(compare, point_seconds), "frame_size": frame_size, "offset": offset, "min_score": min_score,
    }  # fmt: skip
    if labeller := _labeller(model, stage1_only, share, {"profile": profile, "from": source, "cpu": cpu}):
        written = label([poses] if poses else files, labeller, out, pairs=pairs is not None, video=video, **how)
    else:
        profile = _check_study(profile, model, source, cpu, stage1_only)
        if pairs or not poses:
            raise InputError(f"several recordings and --pairs need --model {SEVERAL}")
        official = model == OFFICIAL
        written = iter(predict(video, poses, out, profile, official=official, stage1_only=stage1_only, **how))
    for path in written:
        print(path)


def _compare(compare: tuple[Path, str] | None, seconds: float | None) -> Compared | None:
    if seconds is not None and not compare:
        raise InputError("--point-seconds is for point events of --compare; leave it out")
    return compare if compare is None or seconds is None else (*compare, positive("--point-seconds", seconds))


def _labeller(model: str, stage1_only: bool, share: float | None, unused: Mapping[str, object]) -> Labeller | None:
    """The model that names every frame by itself, if it is one; InputError for an option that it has no use for."""
    own = Path(model).is_file()
    if share is not None and not own:
        raise InputError("--share is for --model FILE, of mbrepro train --embedder; leave it out")
    if not own and not (model == OFFICIAL and stage1_only):
        return None
    if given := [name for name, value in unused.items() if value]:
        raise InputError(f"--model {model} has no use for --{given[0]}; leave it out")
    return own_model(Path(model), stage1_only, share) if own else official_model()


def _check_study(profile: str, model: str, source: str, cpu: bool, stage1_only: bool) -> str:
    """The profile whose models are used, which is named; raises InputError for what would stop them halfway."""
    if model == DEMO and profile not in ("", DEMO):
        raise InputError(f"--model demo and --profile {profile} are different models; leave one of them out")
    if model == DEMO:
        profile, model = DEMO, ""
    if not profile:
        told = {"": "no model is given", OFFICIAL: "--model official needs --stage1-only, or a profile's stage 2"}
        raise InputError(f"{told.get(model, f'there is no model {model!r}')}; name one: {CHOICES}")
    use_profile(profile, "" if model == OFFICIAL else model, source)
    check_patience(profile, cpu, 0 if stage1_only else 1)
    if not stage1_only:
        writable(paths.artifacts(profile))  # where the embeddings of the recording's clips are kept
    return profile
