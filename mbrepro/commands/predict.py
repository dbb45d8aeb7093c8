"""`mbrepro predict`: a trained model on recordings of one's own, or both stages of the study on one of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from mbrepro import paths
from mbrepro.commands.options import Cpu, Profile, Source, check_patience, pair, use_profile, writable
from mbrepro.errors import InputError
from mbrepro.study.carried import label
from mbrepro.study.predict import predict

OFFICIAL = "official"
PARTS = "PART=NAME, such as left_hip=lefthindpaw"
AnyModel = Annotated[
    str,
    typer.Option(
        "--model",
        help="a file of mbrepro train; official: CalMS21's own network, trained on real mice, is stage 1 "
        "(mbrepro fetch official); profile calms21: the vision-language model, ID@COMMIT or a folder",
        show_default=False,
    ),
]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option(
        metavar="EVENTS BEHAVIOUR",
        help="a label file and one of its behaviours; how well P(action) tells it goes into the notes",
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Argument(
        help="with --poses: the video; without one, only stage 1 can run. With a model of mbrepro train: pose files, "
        "or folders with a manifest"
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
    Literal["all"] | None, typer.Option(help="with a model of mbrepro train: every two animals, in both orders")
]
Parts = Annotated[
    list[str] | None,
    typer.Option(metavar="PART=NAME", help="the file's name of one of the model's parts, or of resident:PART"),
]
Offset = Annotated[
    tuple[float, float] | None, typer.Option(metavar="X Y", help="px to add to the poses, if a crop was tracked")
]
Align = Annotated[
    str | None, typer.Option(metavar="start|end", help="the end that poses and a trimmed video have in common")
]


def command(
    out: Annotated[Path, typer.Option(help="folder for the predictions", show_default=False)],
    files: Files = None,
    poses: Poses = None,
    stage1_only: Annotated[bool, typer.Option("--stage1-only", help="find action from the poses alone")] = False,
    individuals: Animals = None,
    pairs: Pairs = None,
    parts: Parts = None,
    sequence: Annotated[str | None, typer.Option(help="which sequence of a CalMS21 JSON")] = None,
    fps: Annotated[float | None, typer.Option(help="frames per second, if there is no video to tell")] = None,
    frame_size: Annotated[tuple[int, int] | None, typer.Option(metavar="WIDTH HEIGHT", help="px, likewise")] = None,
    offset: Offset = None,
    align: Align = None,
    min_score: Annotated[float, typer.Option(help="keypoints of less confidence are interpolated")] = 0.0,
    compare: Compare = None,
    profile: Profile = "demo", model: AnyModel = "", source: Source = "", cpu: Cpu = False,
) -> None:  # fmt: skip
    """Write the labels of every frame and print the files' names."""
    writable(out)
    if (poses and len(files or []) > 1) or not (poses or files):
        raise InputError("name the poses of one recording with --poses and its video, or several pose files without it")
    video, of_study = files[0] if poses and files else None, {"stage1_only": stage1_only, "compare": compare}
    named = dict(pair("--parts", PARTS, text) for text in parts or [])
    how = {
        "individuals": individuals, "parts": named, "sequence": sequence,
        "fps": fps, "frame_size": frame_size, "offset": offset, "align": align, "min_score": min_score,
    }  # fmt: skip
    if Path(model).is_file():
        _refuse(model, of_study)
        written = label([poses] if poses else files, Path(model), out, pairs=pairs is not None, video=video, **how)
    else:
        if pairs or not poses:
            raise InputError(f"model {model!r} is no file of mbrepro train, which several recordings and --pairs need")
        official = _check_study(profile, model, source, cpu, stage1_only)
        written = predict(video, poses, out, profile, official=official, **of_study, **how)
    for path in written:
        print(path)


def _check_study(profile: str, model: str, source: str, cpu: bool, stage1_only: bool) -> bool:
    """Whether stage 1 is the official network; raises InputError for what would stop a study's models halfway."""
    official = model == OFFICIAL
    use_profile(profile, "" if official else model, source)
    check_patience(profile, cpu, 0 if stage1_only else 1)
    if not stage1_only:
        writable(paths.artifacts(profile))  # where the embeddings of the recording's clips are kept
    return official


def _refuse(model: str, of_study: Mapping[str, object]) -> None:
    """Raise InputError for an option that a model of `mbrepro train` has no use for."""
    if given := [f"--{name.replace('_', '-')}" for name, value in of_study.items() if value]:
        raise InputError(f"{model}: a model of mbrepro train has no use for {given[0]}; leave it out")
