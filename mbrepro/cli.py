"""The command line: mbrepro fetch, embed, finetune, run, book, simulate, predict."""

import argparse
import ast
import os
import sys
from pathlib import Path

from mbrepro.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 2 bad input (one sentence on standard error)."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except InputError as error:
        print(f"mbrepro: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mbrepro: {error.strerror}: {error.filename or 'a file'}; what was finished is kept", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mbrepro: stopped; what was finished is kept, and the same command goes on from there", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mbrepro", description="Fast localization, slow classification of mouse behaviour."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run one notebook with parameters of your own, or the whole study")
    run.add_argument("notebook", nargs="?", help="a notebook's name, such as 03_clip")
    run.add_argument("--all", action="store_true", help="run every notebook, into the table and the book")
    run.add_argument("-p", nargs=2, action="append", default=[], metavar=("PARAMETER", "VALUE"), dest="parameters")
    run.add_argument("--parameters", action="store_true", dest="show", help="list the notebook's parameters and stop")
    run.add_argument("--profile", default="demo", help="demo (simulated recordings) or calms21 (the real data)")
    _add_calms21_options(run)
    run.set_defaults(command=_run)

    estimate = commands.add_parser("estimate", help="how long stage 2 takes on this machine; too long is exit status 2")
    estimate.add_argument("--profile", default="calms21")
    estimate.add_argument("--videos", nargs="+", default=None, help="count these, as fetch takes them")
    estimate.add_argument("--seeds", type=int, default=5)
    _add_calms21_options(estimate)
    estimate.set_defaults(command=_estimate)

    book = commands.add_parser("book", help="build the book from the notebooks that have been run")
    book.add_argument("--profile", default="demo")
    book.set_defaults(command=_book)

    verify = commands.add_parser("verify", help="score stored predictions again and compare with table and book")
    verify.add_argument("--profile", default="demo")
    verify.set_defaults(command=_verify)

    _add_fetch(commands)
    _add_simulate(commands)
    _add_embed(commands)
    _add_finetune(commands)
    _add_predict(commands)
    return parser


def _add_calms21_options(command) -> None:
    command.add_argument("--model", help="profile calms21: the vision-language model, a hub id or a local folder")
    command.add_argument(
        "--from", dest="source", help="profile calms21: where fetch took the data from, if not the record"
    )
    command.add_argument(
        "--cpu", action="store_true", help="profile calms21: go on without a GPU, however long it takes"
    )


def _use_calms21_options(options: argparse.Namespace) -> None:
    """Hand the options on to notebooks, which run in processes of their own."""
    for name, value in (("MBREPRO_MODEL", options.model), ("MBREPRO_CALMS21", options.source)):
        if value:
            os.environ[name] = value


def _add_fetch(commands) -> None:
    fetch = commands.add_parser("fetch", help="download a data set, or link the copy you have")
    fetch.add_argument("release", choices=["calms21"])
    fetch.add_argument("--task", nargs="+", default=["1", "3"], choices=["1", "3"], help="whose poses and labels")
    fetch.add_argument(
        "--videos", nargs="+", default=["all"], metavar="VIDEOS",
        help="all, none, how many (spread over train and test), or names",
    )  # fmt: skip
    fetch.add_argument(
        "--from", dest="source", default=os.environ.get("MBREPRO_CALMS21", ""), metavar="DIR_OR_URL",
        help="a mirror, or a folder with the released zips or what is in them; videos are linked, not copied",
    )  # fmt: skip
    fetch.add_argument("--verify", action="store_true", help="read everything that is there and compare SHA-256")
    fetch.set_defaults(command=_fetch)


def _add_simulate(commands) -> None:
    simulate = commands.add_parser("simulate", help="write simulated recordings to a folder")
    simulate.add_argument("folder", type=Path)
    simulate.add_argument("--layout", choices=["calms21"], default="calms21", help="file layout of a public release")
    simulate.add_argument("--tasks", nargs="+", default=["task1", "task3"], choices=["task1", "task3"])
    simulate.add_argument(
        "--scale", type=_scale, default=1.0, help="times the number of recordings; full: CalMS21's, poses only"
    )
    simulate.add_argument("--behaviours", nargs="+", help="those of Task 3 to simulate (default: all seven)")
    simulate.add_argument("--no-videos", action="store_true", help="poses and labels only")
    simulate.add_argument("--zips", action="store_true", help="zips as released, to be served as a mirror")
    simulate.set_defaults(command=_simulate)


def _scale(text: str) -> float | str:
    return text if text == "full" else float(text)


def _add_embed(commands) -> None:
    embed = commands.add_parser("embed", help="embed the clips the study needs, alone or as one of many jobs")
    embed.add_argument("--profile", default="demo")
    embed.add_argument("--protocol", default="corrected", choices=["published", "corrected"])
    embed.add_argument("--tasks", nargs="+", default=["task1", "task3"], choices=["task1", "task3"])
    embed.add_argument("--seeds", type=int, default=5)
    embed.add_argument("--scale", type=float, default=1.0, help="profile demo: times the number of recordings")
    embed.add_argument("--shard", default="1/1", metavar="I/N", help="do the I-th of N shares of the recordings")
    embed.add_argument("--engine", default="local", choices=["local", "ray"], help="ray: on all machines of a cluster")
    embed.add_argument("--workers", type=int, default=1, help="engine ray: models side by side")
    embed.add_argument("--estimate", action="store_true", help="only say how much there is to do, all shares together")
    _add_calms21_options(embed)
    embed.set_defaults(command=_embed)


def _add_finetune(commands) -> None:
    finetune = commands.add_parser("finetune", help="fine-tune the video model on labelled train clips (LoRA)")
    finetune.add_argument("folder", type=Path, help="a new folder for the model, to be given as --model afterwards")
    finetune.add_argument("--profile", default="demo")
    finetune.add_argument("--scale", type=float, default=1.0, help="profile demo: times the number of recordings")
    finetune.add_argument("--view", default="video_100", help="what a classifier reads: last_100 or video_100")
    finetune.add_argument("--rank", type=int, default=8, help="of the adapters")
    finetune.add_argument("--epochs", type=int, default=5, help="passes over the clips; the best is kept")
    finetune.add_argument("--learning-rate", type=float, default=5e-4)
    finetune.add_argument("--seed", type=int, default=0)
    _add_calms21_options(finetune)
    finetune.set_defaults(command=_finetune)


def _add_predict(commands) -> None:
    predict = commands.add_parser("predict", help="label the behaviour in a recording of your own")
    predict.add_argument("video", type=Path, nargs="?", help="the video; without one, only stage 1 can run")
    predict.add_argument("--poses", type=Path, required=True, help="CalMS21 JSON, or DeepLabCut csv or h5")
    predict.add_argument("--out", type=Path, required=True, help="folder for the predictions")
    predict.add_argument("--stage1-only", action="store_true", help="find action from the poses; no video is looked at")
    predict.add_argument("--individuals", nargs=2, metavar=("RESIDENT", "INTRUDER"), help="which two tracked animals")
    predict.add_argument(
        "--parts", nargs="+", default=[], metavar="PART=NAME", help="the file's name of one of the seven parts"
    )
    predict.add_argument("--sequence", help="which sequence of a CalMS21 JSON")
    predict.add_argument("--fps", type=float, help="frames per second, where there is no video to tell")
    predict.add_argument("--frame-size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="px, likewise")
    predict.add_argument(
        "--min-score", type=float, default=0.0, help="keypoints tracked with less confidence are interpolated"
    )
    predict.add_argument(
        "--compare",
        nargs=2,
        metavar=("EVENTS", "BEHAVIOUR"),
        help="a BORIS csv export and one of its behaviours; how well P(action) tells it goes into the notes",
    )
    predict.add_argument("--profile", default="demo", help="which study's models: demo or calms21")
    _add_calms21_options(predict)
    predict.set_defaults(command=_predict)


def _run(options: argparse.Namespace) -> None:
    from mbrepro.commands import runner

    parameters = {name: _value(text) for name, text in options.parameters}
    if options.all == bool(options.notebook):
        raise InputError("name one notebook, or give --all for the whole study")
    _use_calms21_options(options)
    if not options.show:
        names = runner.notebook_names() if options.all else [options.notebook]
        _check_patience(options, max((runner.seeds_of_stage2(name, parameters) for name in names), default=0))
    if options.show:
        print(runner.describe(options.notebook))
    elif options.all:
        done = runner.run_study(options.profile, parameters)
        print(f"{len(done)} notebooks run, {len(runner.notebook_names()) - len(done)} were up to date")
    else:
        print(runner.run_one(options.notebook, options.profile, parameters))


def _check_patience(options: argparse.Namespace, seeds: int) -> None:
    """Raise InputError before anything runs if stage 2 with a real model would keep a CPU busy for hours."""
    if options.profile == "calms21" and not options.cpu and seeds:
        from mbrepro.study.estimate import estimate, refuse_slow

        refuse_slow(estimate(options.profile, seeds))


def _estimate(options: argparse.Namespace) -> None:
    from mbrepro.data.calms21.fetch import chosen_videos
    from mbrepro.study.estimate import estimate, refuse_slow

    _use_calms21_options(options)
    videos = options.videos and chosen_videos(options.videos, os.environ.get("MBREPRO_CALMS21", ""))
    costs = estimate(options.profile, options.seeds, videos)
    print(costs.to_string(float_format="{:,.2f}".format))
    if not options.cpu:
        refuse_slow(costs)


def _embed(options: argparse.Namespace) -> None:
    from mbrepro.embedding import check_embedder
    from mbrepro.study import embed, estimate
    from mbrepro.study.profiles import embedder_settings

    _use_calms21_options(options)
    local = options.engine == "local"
    check_embedder(embedder_settings(options.profile, options.protocol), memory=local and not options.estimate)
    if options.estimate:
        costs = estimate.estimate(
            options.profile, options.seeds, tasks=options.tasks, scale=options.scale, names=[options.protocol]
        )
        print(costs.to_string(float_format="{:,.2f}".format))
        return
    _check_patience(options, options.seeds)
    protocol, jobs = embed.plan(options.profile, options.protocol, options.seeds, options.tasks, options.scale)
    mine = embed.shard(jobs, options.shard)
    embed.run(mine, protocol, options.profile, options.engine, options.workers)
    print(f"{sum(len(job.starts) for job in mine)} clips of {len(mine)} recordings are embedded")


def _finetune(options: argparse.Namespace) -> None:
    from mbrepro.embedding.lora import LoraSettings
    from mbrepro.study.finetune import finetune

    names = ("view", "rank", "epochs", "learning_rate", "seed")
    settings = LoraSettings(**{name: getattr(options, name) for name in names})
    _use_calms21_options(options)
    _check_patience(options, 1)
    print(finetune(options.profile, options.folder, settings, options.scale))


def _value(text: str) -> object:
    """A parameter as typed: a Python literal, true, false, or else the text itself."""
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text


def _book(options: argparse.Namespace) -> None:
    from mbrepro.commands import book

    print(book.build(options.profile))


def _verify(options: argparse.Namespace) -> None:
    from mbrepro.commands import book
    from mbrepro.study import results

    rows = results.verify(options.profile)
    print(f"{len(rows)} rows score as the table says")
    print(f"{book.verify(options.profile)} places of the book's pages say the same")


def _fetch(options: argparse.Namespace) -> None:
    from mbrepro.data.calms21.fetch import fetch

    tasks = [f"task{number}" for number in options.task]
    print(fetch(tasks, options.videos, options.source, options.verify))


def _simulate(options: argparse.Namespace) -> None:
    from mbrepro.demo.simulated.release import write_release

    videos = not options.no_videos and options.scale != "full"
    write_release(options.folder, options.tasks, options.scale, videos, options.zips, options.behaviours)


def _predict(options: argparse.Namespace) -> None:
    from mbrepro.study import predict

    parts = dict(_pair(text) for text in options.parts)
    _use_calms21_options(options)
    _check_patience(options, 0 if options.stage1_only else 1)
    for path in predict.predict(
        options.video, options.poses, options.out, options.profile, stage1_only=options.stage1_only,
        individuals=options.individuals, parts=parts, sequence=options.sequence, fps=options.fps,
        frame_size=options.frame_size, min_score=options.min_score, compare=options.compare,
    ):  # fmt: skip
        print(path)


def _pair(text: str) -> tuple[str, str]:
    part, sign, name = text.partition("=")
    if not (part and sign and name):
        raise InputError(f"--parts takes PART=NAME, such as left_hip=lefthindpaw, not {text!r}")
    return part, name
