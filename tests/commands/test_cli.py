"""The command line: one clear sentence and status 2 for what is wrong."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mbrepro import cli, paths
from mbrepro.commands import options, runner
from mbrepro.commands import run as command_run
from mbrepro.data.calms21.read import load_calms21
from mbrepro.demo.simulated import DemoSettings, demo_dataset
from mbrepro.errors import InputError
from tests.fixtures.rat_files import write_manifest, write_rats


def run(capsys, *arguments):
    status = cli.main(list(arguments))
    return status, capsys.readouterr()


REFUSED = {
    "run": "name one notebook, or give --all",
    "run 03_clip --all": "name one notebook, or give --all",
    "run --all --parameters": "--parameters lists those of one notebook: name it",
    "run 03_clips": "there is no notebook '03_clips'",
    "run 03_clip -p clip_second 2": "03_clip has no parameter 'clip_second'; it has profile",
    "run --all -p clip_second 2": "no notebook has a parameter 'clip_second'",
    "run 03_clip -p clip_seconds": "-p takes a parameter's name and its value",
    "run 03_clip -p clip_seconds two": "clip_seconds takes a value of type float like 2.0, not 'two'",
    "run 03_clip -p clip_seconds nan": "clip_seconds takes a value of type float like 2.0, not 'nan'",
    "run 03_clip -p clip_seconds 1e999": "parameter clip_seconds must be a finite number, not inf",
    "run 03_clip -p clip_seconds -2": "clip setting seconds must be a positive number, not -2.0",
    "run 03_clip -p scale -1.0": "parameter scale must be a positive number, not -1.0",
    "run 03_clip -p scale 0": "parameter scale must be a positive number, not 0.0",
    "run 03_clip -p seeds 0": "parameter seeds must be at least 1, not 0",
    "run 03_clip -p epochs 0": "parameter epochs must be at least 1, not 0",
    "run 03_clip -p crop square": "clip setting crop must be one of frame, mice",
    "run 03_clip -p head tree": "there is no head 'tree'; take linear, mlp, knn, ridge, lda, prototypes",
    "run 03_clip -p profile calms21": "the profile is no parameter of a run: give --profile calms21",
    "run 03_clip -p model ./nowhere": "model ./nowhere: there is no such folder",
    "run 03_clip -p run ../up": "a run's name is up to 100 letters",
    "run 01_baseline -p validation_fraction 1": "validation_fraction must lie from 0 to below 1, not 1.0",
    "run 05_few_shot -p behaviours sniff": "parameter behaviours: Task 3 has no 'sniff'; it has",
    "run 09_sparsity -p gaps 1,x": "parameter gaps takes numbers of at least 0, separated by commas, not '1,x'",
    "run 03_clip --profile real": "there is no profile 'real'; there are demo, calms21, own",
    "run own_rows": "there is no notebook 'own_rows'; there are 00_dataset",
    "run --all --profile own": "profile own: name the folder of the recordings with --data",
    "run --all --profile own --data here": "here/recordings.csv: there is no such file; mbrepro init here writes one",
    "run 03_clip --data here": "--data is for --profile own; leave it out, or give both",
    "run own_rows --profile own --model nobody/nothing": "profile own: name the folder",
    "diff one other --profile own": "profile own: name the folder",
    "sweep own_rows -p seeds 1,2 --profile own": "profile own is for run, book, verify, crate and diff",
    "estimate --profile own": "profile own is for run, book, verify, crate and diff",
    "embed --profile own": "profile own is for run, book, verify, crate and diff",
    "finetune out --profile own": "profile own is for run, book, verify, crate and diff",
    "predict v.mp4 --poses a.csv --profile own --out o": "profile own is for run, book, verify, crate",
    "run 03_clip --model nobody/nothing": "--model is for --profile calms21 or own",
    "run 03_clip --from elsewhere": "--from is for --profile calms21",
    "run 03_clip --sort": "No such option: --sort",
    "sweep 03_clip": "Missing option '-p'",
    "sweep 03_clip -p head linear,tree": "there is no head 'tree'; take linear, mlp, knn, ridge, lda, prototypes",
    "sweep 03_clip -p head linear -p head knn": "sweep takes each parameter once, with all of its values",
    "diff study mine": "there is no such run",
    "book --profile real": "there is no profile 'real'",
    "book --run mine": "has not been run for run mine: its book needs mbrepro run --all",
    "verify": "there are no results in",
    "verify --run a/b": "a run's name is up to 100 letters",
    "estimate --seeds 0": "Invalid value for '--seeds'",
    "embed --seeds 0": "Invalid value for '--seeds'",
    "embed --scale nan": "--scale must be a positive number, not nan",
    "embed --shard 3/2": "--shard takes I/N",
    "embed --shard 0/2": "--shard takes I/N",
    "embed --shard -1/2": "--shard takes I/N",
    "embed --shard 1/0": "--shard takes I/N",
    "embed --workers 0": "Invalid value for '--workers'",
    "embed --model nobody/nothing": "--model is for --profile calms21",
    "embed --profile calms21 --model ./nowhere": "model ./nowhere: there is no such folder",
    "embed --tasks task2": "'task2' is not one of 'task1', 'task3'",
    "simulate out --scale -1": "--scale takes a positive number or full, not -1",
    "simulate out --scale 0": "--scale takes a positive number or full, not 0",
    "simulate out --scale nan": "--scale takes a positive number or full, not nan",
    "simulate out --scale inf": "--scale takes a positive number or full, not inf",
    "simulate out --behaviours dance": "Task 3 has no dance",
    "finetune out --scale inf": "--scale must be a positive number, not inf",
    "finetune out --rank 0": "fine-tuning setting rank must be positive, not 0",
    "fetch calms22": "'calms22' is not one of 'calms21'",
    "fetch calms21 --task 1 2": "'2' is not one of '1', '3'",
    "predict --out o": "name the poses of one recording with --poses",
    "predict a.csv b.csv --out o": "no model is given; name one: --model FILE, of mbrepro train",
    "predict a.csv b.csv --model demo --out o": "several recordings and --pairs need --model FILE, of mbrepro train",
    "predict v.mp4 w.mp4 --poses a.csv --out o": "name the poses of one recording with --poses",
    "init data": "there is no pose file in it",
    "check data": "recordings.csv: there is no such file; mbrepro init data writes one",
    "train data --out m.zip": "recordings.csv: there is no such file; mbrepro init data writes one",
    "predict --poses a.csv --model demo --out o": "stage 2 looks at the video",
    "predict --stage1-only --poses a.csv --model demo --out o": "without a video, give --fps and --frame-size",
    "predict no.mp4 --poses a.csv --model demo --out o": "no.mp4: no such video file",
    "predict no.mp4 --poses a.csv --out o --parts nose": "--parts takes PART=NAME",
    "evaluate a b": "Missing option '--out'",
    "evaluate a b --out o": "a: no such file or folder",
    "evaluate a b --out o --tiou 2": "match criterion tiou must be above 0 and finite, tiou up to 1, not 2.0",
    "evaluate a b --out o --rename fight": "--rename takes NAME=CLASS, such as fight=attack, not 'fight'",
    "evaluate a b --out o --fps 0": "--fps must be a positive number, not 0.0",
    "evaluate a b --out o --drop -1": "Invalid value for '--drop'",
    "learning-curve nowhere --out o": "nowhere/recordings.csv: there is no such file; mbrepro init nowhere writes one",
    "learning-curve nowhere --out o --draws 1": "Invalid value for '--draws'",
    "bench nothing": "there is no benchmark 'nothing'",
    "soak 0": "Invalid value for 'kills'",
    "soak --what walk": "nothing is known to kill by the name 'walk'",
    "soak --what train": "train needs --data",
    "ablation --seeds 0": "Invalid value for '--seeds'",
    "ablation --scale -1": "--scale must be a positive number, not -1.0",
    "standin --steps 0": "Invalid value for '--steps'",
    "likeness nowhere": "No such file or directory: nowhere",
    "record": "the figures of audit are recorded from real data",
    "ladder now": "Got unexpected extra argument",
    "dance": "No such command 'dance'",
    "": "Missing command",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_bad_input_gets_one_sentence_and_status_2(capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "real_data", lambda: None)
    monkeypatch.delenv("MBREPRO_REAL_DATA", raising=False)
    status, printed = run(capsys, *arguments.split())
    assert status == 2
    assert printed.out == ""
    assert printed.err.startswith("mbrepro: ") and REFUSED[arguments] in printed.err
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_every_command_says_what_it_takes_and_the_list_waits_for_no_torch(capsys):
    for name, about in cli.COMMANDS.items():
        status, printed = run(capsys, name, "--help")
        assert status == 0 and about.split()[0] in printed.out, name
    code = "import sys; from mbrepro import cli; cli.main(['--help']); sys.exit('torch' in sys.modules)"
    listed = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert all(name in listed for name in cli.COMMANDS)


def test_every_file_of_the_folder_is_a_command_or_part_of_one():
    files = {path.stem for path in Path(cli.__file__).with_name("commands").glob("[!_.]*.py")}
    assert files == {name.replace("-", "_") for name in cli.COMMANDS} | {
        "options",
        "runner",
        "execute",
        "copies",
        "provenance",
        "throughput",
        "timing",
        "bench_stage1",
    }


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("--videos a b --cpu c", "--videos a --videos b --cpu c"),
        ("-p scale -1.0 -p view x", "-p scale=-1.0 -p view=x"),
        ("-p scale=-1.0 notebook", "-p scale=-1.0 notebook"),
        ("--videos", "--videos"),
        ("--other a b -- --videos a b", "--other a b -- --videos a b"),
    ],
)
def test_several_values_may_follow_one_option(given, taken):
    assert cli.spread(given.split(), {"--videos", "-p"}) == taken.split()


def test_a_models_folder_is_meant_from_where_one_stands(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MBREPRO_MODEL", raising=False)
    monkeypatch.setenv("MBREPRO_MODEL", "")  # restored afterwards
    for typed in ("model", "./model", str(tmp_path / "model")):
        assert options.local_model(typed) == str(tmp_path / "model")
    assert options.local_model("Qwen/Qwen2.5-VL-3B-Instruct") == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert options.local_model("poses") == "poses" and options.local_model("") == ""
    options.use_profile("calms21", "model")
    assert os.environ["MBREPRO_MODEL"] == str(tmp_path / "model")


def test_a_run_of_all_with_parameters_leaves_the_study_alone(capsys, study):
    assert run(capsys, "run", "--all")[0] == 0
    before = (study / "results/demo/notebooks/toy.ipynb").read_bytes()
    status, printed = run(capsys, "run", "--all", "-p", "count", "5", "-p", "run", "five")
    assert status == 0 and printed.out.startswith("1 notebooks run, 0 were up to date; they are in ")
    status, printed = run(capsys, "run", "toy", "-p", "count", "5")
    (named, five) = sorted((study / "results/demo/runs").iterdir())
    assert status == 0 and printed.out.strip() == str(named / "notebooks/toy.ipynb")
    assert (named.name[:8], five.name) == ("count=5-", "five")
    assert (study / "results/demo/notebooks/toy.ipynb").read_bytes() == before


def test_parameters_are_listed_with_their_help(capsys):
    status, printed = run(capsys, "run", "03_clip", "--parameters")
    assert status == 0
    assert "clip_seconds = 2.0  corrected protocol: length of the clip" in printed.out


def test_simulated_recordings_are_written_as_the_release_and_read_back(capsys, tmp_path):
    status, _ = run(capsys, "simulate", str(tmp_path / "release"), "--scale", "0.05", "--no-videos")
    assert status == 0
    for task in ("task1", "task3/groom"):
        settings = DemoSettings().scaled(0.05)
        made = demo_dataset(task, settings, tmp_path / "again", videos=False)
        read = load_calms21(tmp_path / "release", task)
        assert read.source == "simulated" and read.classes == made.classes
        assert [r.name for r in read.train] == [r.name for r in made.train]
        for one, other in zip(read.recordings, made.recordings, strict=True):
            np.testing.assert_array_equal(one.labels, other.labels)
            np.testing.assert_array_equal(one.keypoints, other.keypoints)


def test_a_full_disk_is_said_in_one_sentence(capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "results/x")

    monkeypatch.setattr(runner, "run_study", full)
    status, printed = run(capsys, "run", "03_clip")
    assert status == 2
    assert printed.err == "mbrepro: No space left on device: results/x; what was finished is kept\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("0.5", 0.5), ("1e-3", 1e-3), ("true", True), ("mice", "mice"), ("'5'", "5"), ("-1", -1)],
)
def test_values_are_taken_as_typed(text, value):
    taken = command_run.typed(text)
    assert taken == value and type(taken) is type(value)


def test_a_folder_that_takes_no_files_is_said_in_one_sentence(capsys):
    """Not even the superuser can make one in /proc."""
    status, printed = run(capsys, "simulate", "/proc/mine", "--scale", "0.05")
    assert status == 2 and "/proc/mine" in printed.err and printed.err.count("\n") == 1


def test_a_bare_environment_and_a_path_of_other_letters_change_nothing(tmp_path):
    """No HOME, an ASCII locale, a umask that shuts others out, and a folder named as people name theirs."""
    folder = write_manifest(write_rats(tmp_path / "mäuse 2 & 小鼠", (1, 4, 7, 10)) / "rat_dyads")
    bare = {key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ}
    bare |= {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "MBREPRO_ROOT": str(tmp_path / "root")}
    said = [
        subprocess.run(
            [sys.executable, "-m", "mbrepro", "check", str(folder)],
            capture_output=True, env=environment, umask=umask, cwd=paths.SOURCE, check=False,
        )
        for environment, umask in ((os.environ, -1), (bare, 0o077))
    ]  # fmt: skip
    assert said[1].returncode == 0, said[1].stderr.decode()
    assert said[1].stdout.decode() == said[0].stdout.decode() and b"rats10" in said[0].stdout


def test_what_a_file_says_moves_no_cursor(capsys):
    assert cli._refuse(InputError("a\x1b]0;b\x07\u202ec\nd é")) == 2
    assert capsys.readouterr().err == "mbrepro: a\\x1b]0;b\\x07\\u202ec d é\n"
