"""Sweeps and diffs on a small notebook: every combination once, in one kernel, as if each had its own."""

import contextlib

import pytest
import ray

from mbrepro import cli, paths
from mbrepro.commands import runner, sweep
from mbrepro.commands.execute import WarmKernel
from mbrepro.errors import InputError
from tests.fixtures.notebooks import BODY, printed, times_run, write_notebook


def test_every_combination_of_the_values_comes_once_the_last_names_fastest():
    assert sweep.combinations(["count=1,2", "gaps=0,1;2", "rate=0.5"]) == [
        {"count": 1, "gaps": (0, 1), "rate": 0.5}, {"count": 1, "gaps": 2, "rate": 0.5},
        {"count": 2, "gaps": (0, 1), "rate": 0.5}, {"count": 2, "gaps": 2, "rate": 0.5},
    ]  # fmt: skip


@pytest.mark.parametrize("given", [["count=1", "count=2"], ["run=mine"], ["count"], ["profile=demo,calms21"]])
def test_a_grid_that_is_none_is_refused(given):
    with pytest.raises(InputError, match=r"each parameter once|takes a parameter's name|give --profile"):
        sweep.combinations(given)


def test_a_kernel_kept_warm_gives_the_bytes_of_one_for_each(study):
    write_notebook(study / "notebooks", "toy", f"assert 'left' not in globals()\nleft = count\n{BODY}\ncount")
    alone, together = [], []
    path = study / "results/demo/notebooks/toy.ipynb"
    for count in (3, 4):
        runner.run_study("demo", {"count": count})
        alone.append(path.read_bytes())
    with contextlib.closing(WarmKernel()) as kernel:
        for count in (3, 4):
            runner.run_study("demo", {"count": count}, kernel=kernel)
            together.append(path.read_bytes())
    assert alone == together and alone[0] != alone[1]


def test_every_notebook_of_a_warm_kernel_can_work_in_several_processes(study):
    """As training networks side by side does."""
    body = 'from mbrepro.data.processes import side_by_side\nside_by_side([(abs, -1), (abs, -2)], "a", "b", 2)'
    write_notebook(study / "notebooks", "toy", body)
    sweep.sweep("toy", "demo", sweep.combinations(["count=1,2,3"]))


def test_a_sweep_goes_on_past_a_failure_and_is_taken_up_where_it_stopped(study, capsys):
    grid = sweep.combinations(["count=12,13,14", "rate=0.5,1"])
    with pytest.raises(InputError, match=r"2 of 6 combinations failed.*count=13.*unlucky"):
        sweep.sweep("toy", "demo", grid)
    assert "6 of 6, about 0.0 minutes left: count=14,rate=1.0" in capsys.readouterr().err
    runs = sorted((study / "results/demo/runs").glob("*/notebooks/toy.ipynb"))
    assert [printed(path).split()[2] for path in runs] == ["6.0", "12.0", "7.0", "14.0"]
    assert times_run(study) == 6
    grid = sweep.combinations(["count=12,14,15", "rate=0.5,1"])
    assert sweep.sweep("toy", "demo", grid) == 2 and times_run(study) == 8


def test_ray_sweeps_as_one_kernel_does_and_goes_on_past_a_failure(study, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(paths.SOURCE))  # workers take the study's notebooks by a module of the tests
    loses = "lose = pathlib.Path('lose')\nif lose.exists(): lose.unlink(); os.kill(os.getppid(), 9)"
    told = "print(os.environ['MBREPRO_ROOT'], os.getppid())"
    write_notebook(study / "notebooks", "toy", f"import os\n{BODY}\n{loses}\n{told}")
    hook = {"worker_process_setup_hook": "tests.fixtures.notebooks.take_those_of_the_study"}
    alone = {"include_dashboard": False, "log_to_driver": False, "_node_ip_address": "127.0.0.1"}
    ray.init(num_cpus=3, runtime_env=hook, **alone)
    try:
        with pytest.raises(InputError, match=r"1 of 4 combinations failed.*count=13.*unlucky"):
            sweep.sweep("toy", "demo", sweep.combinations(["count=12,13,14,15"]), engine="ray", workers=2)
        assert "4 of 4, about 0.0 minutes left: count=1" in capsys.readouterr().err
        assert sweep.sweep("toy", "demo", sweep.combinations(["count=12,14,16"]), engine="ray", workers=2) == 1
        (study / "lose").touch()
        with pytest.raises(InputError, match="a worker of Ray was lost"):
            sweep.sweep("toy", "demo", sweep.combinations(["count=17"]), engine="ray", workers=1)
        assert sweep.sweep("toy", "demo", sweep.combinations(["count=17"]), engine="ray", workers=1) == 1
    finally:
        ray.shutdown()
    runs = [printed(path).split() for path in sorted((study / "results/demo/runs").glob("*/notebooks/toy.ipynb"))]
    assert sorted(words[2] for words in runs) == ["6.0", "7.0", "7.5", "8.0", "8.5"]
    assert {words[-2] for words in runs} == {str(study)} and len({words[-1] for words in runs}) > 1


def test_workers_of_no_cluster_are_refused(study, capsys):
    for command in (["sweep", "toy", "-p", "count", "1"], ["embed"]):
        assert cli.main([*command, "--workers", "2"]) == 2
        assert "--workers 2 is for --engine ray" in capsys.readouterr().err


def test_a_kernel_that_dies_costs_its_own_combination_alone(study):
    write_notebook(study / "notebooks", "toy", "import os, signal\nif count == 1: os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(InputError, match=r"1 of 3 combinations failed.*count=1.*was killed"):
        sweep.sweep("toy", "demo", sweep.combinations(["count=0,1,2"]))
    assert len(list((study / "results/demo/runs").glob("*/notebooks/toy.ipynb"))) == 2


def test_nothing_runs_before_every_combination_is_checked(study, capsys):
    assert cli.main(["sweep", "toy", "-p", "count", "1,two"]) == 2
    assert "count takes a value of type int like 2, not 'two'" in capsys.readouterr().err
    assert times_run(study) == 0 and not (study / "results").exists()


def test_the_command_sweeps_and_a_name_needs_no_number(study, capsys):
    write_notebook(study / "notebooks", "04_more_toys", BODY.replace("count", "seeds"), "profile = 'demo'\nrun = ''\n"
                   "seeds = 2\nrate = 0.5\nfast = False\n")  # fmt: skip
    assert cli.main(["sweep", "more_toys", "-p", "rate", "1,2", "--seeds", "3"]) == 0
    assert "2 of 2 combinations run" in capsys.readouterr().out
    runs = sorted((study / "results/demo/runs").glob("*/notebooks/04_more_toys.ipynb"))
    assert [printed(path).split()[2] for path in runs] == ["3.0", "6.0"]


def test_diff_names_the_runs_there_are(study, capsys):
    assert cli.main(["run", "toy", "-p", "count", "4", "-p", "run", "four"]) == 0
    assert cli.main(["diff", "study", "four"]) == 0
    assert "count" in capsys.readouterr().out
    assert cli.main(["diff", "study", "five"]) == 2
    assert "there is no such run" in (told := capsys.readouterr().err) and "there are study and four" in told
