"""`mbrepro predict`: both stages on a recording of one's own, stage 1 from the study or CalMS21's official network."""

from pathlib import Path
from typing import Annotated

import typer

from mbrepro import paths
from mbrepro.commands.options import Cpu, Profile, Source, check_patience, pair, use_profile, writable
from mbrepro.study.predict import predict

OFFICIAL = "official"
AnyModel = Annotated[
    str,
    typer.Option(
        "--model",
        help="official: CalMS21's own network, trained on real mice, is stage 1 (mbrepro fetch official); "
        "profile calms21: the vision-language model, ID@COMMIT or a folder",
        show_default=False,
    ),
]
Poses = Annotated[
    Path,
    typer.Option(
        help="DeepLabCut or SLEAP analysis csv or h5, CalMS21 or MARS JSON, MABe arrays, or a folder of one an animal",
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


def command(
    poses: Poses,
    out: Annotated[Path, typer.Option(help="folder for the predictions", show_default=False)],
    video: Annotated[Path | None, typer.Argument(help="the video; without one, only stage 1 can run")] = None,
    stage1_only: Annotated[bool, typer.Option("--stage1-only", help="find action from the poses alone")] = False,
    individuals: Annotated[
        tuple[str, str] | None, typer.Option(metavar="RESIDENT INTRUDER", help="which two tracked animals")
    ] = None,
    parts: Annotated[
        list[str] | None,
        typer.Option(metavar="PART=NAME", help="the file's name of one of the seven parts, or of resident:PART"),
    ] = None,
    sequence: Annotated[str | None, typer.Option(help="which sequence of a CalMS21 JSON")] = None,
    fps: Annotated[float | None, typer.Option(help="frames per second, if there is no video to tell")] = None,
    frame_size: Annotated[tuple[int, int] | None, typer.Option(metavar="WIDTH HEIGHT", help="px, likewise")] = None,
    offset: Annotated[
        tuple[float, float] | None, typer.Option(metavar="X Y", help="px to add to the poses, if a crop was tracked")
    ] = None,
    align: Annotated[
        str | None, typer.Option(metavar="start|end", help="the end that poses and a trimmed video have in common")
    ] = None,
    min_score: Annotated[float, typer.Option(help="keypoints of less confidence are interpolated")] = 0.0,
    compare: Compare = None,
    profile: Profile = "demo", model: AnyModel = "", source: Source = "", cpu: Cpu = False,
) -> None:  # fmt: skip
    """Write the labels of every frame and print the files' names."""
    writable(out)
    if not stage1_only:
        writable(paths.artifacts(profile))  # where the embeddings of the recording's clips are kept
    named = dict(pair("--parts", "PART=NAME, such as left_hip=lefthindpaw", text) for text in parts or [])
    official = model == OFFICIAL
    use_profile(profile, "" if official else model, source)
    check_patience(profile, cpu, 0 if stage1_only else 1)
    for path in predict(
        video, poses, out, profile, official=official, stage1_only=stage1_only, individuals=individuals, parts=named,
        sequence=sequence, fps=fps, frame_size=frame_size, offset=offset, align=align, min_score=min_score,
        compare=compare,
    ):  # fmt: skip
        print(path)
