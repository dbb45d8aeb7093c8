"""Stored runs, of predictions made here: which of them are a sweep, and in what two differ."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mbrepro import paths
from mbrepro.artifacts import write_json
from mbrepro.errors import InputError
from mbrepro.report.plots_sweeps import sweeps_drawn
from mbrepro.report.tables import sweep_table
from mbrepro.study import results, stored
from tests.fixtures.runs import random_runs, shuffled


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    return tmp_path


def store(run: str, worse: float, rows=("pose_vlm",), **given) -> float:
    """A stored run whose labels are shuffled by a share; its F1."""
    write_json(paths.results("demo", run) / stored.PARAMETERS, given | {"profile": "demo", "run": run})
    for row in rows:
        runs = shuffled(random_runs(videos=8), worse)
        rows = results.record(row, "corrected", runs, "demo", run, "simulated")
    return rows.set_index("metric").loc["f1", "mean"]


def test_runs_given_the_same_parameters_are_a_sweep_of_those_that_differ():
    assert stored.sweeps("demo") == []
    f1 = [store(f"h{k}", share, head=head, seeds=2) for k, (head, share) in enumerate((("mlp", 0.0), ("knn", 0.5)))]
    store("alone", 0.2, crop="frame")
    store("other", 0.2, crop="frame", seeds=2)
    (found,) = stored.sweeps("demo")
    assert (found.row, found.protocol, found.factors, found.fixed) == ("pose_vlm", "corrected", ("head",), {"seeds": 2})
    assert found.table["head"].tolist() == ["knn", "mlp"] and found.table.index.tolist() == ["h1", "h0"]
    assert found.table["f1"].tolist() == pytest.approx(f1[::-1])
    assert ((found.table["f1_low"] < found.table["f1"]) & (found.table["f1"] < found.table["f1_high"])).all()
    assert np.isnan(found.study) and found.source == "simulated"


def test_rows_that_no_parameter_changed_are_left_out_and_the_studys_own_is_told():
    for run, share in (("a", 0.1), ("b", 0.4)):
        store(run, share, head=run)
        results.record("baseline", "corrected", random_runs(videos=8), "demo", run, "simulated")
    rows = results.record("pose_vlm", "corrected", random_runs(videos=8), "demo", "", "simulated")
    (found,) = stored.sweeps("demo")
    assert found.row == "pose_vlm"
    assert found.study == pytest.approx(rows.set_index("metric").loc["f1", "mean"])


def test_the_page_draws_one_factor_two_and_more():
    for k, seconds in enumerate((1.0, 2.0, 5.0)):
        store(f"line{k}", 0.1 * k, clip_seconds=seconds)
    for k, (head, crop) in enumerate((h, c) for h in ("knn", "mlp") for c in ("frame", "mice")):
        store(f"grid{k}", 0.1 * k, head=head, crop=crop)
        store(f"many{k}", 0.1 * k, head=head, crop=crop, epochs=k // 2 + 1)
    found = sorted(stored.sweeps("demo"), key=lambda sweep: len(sweep.factors))
    assert [sweep.factors for sweep in found] == [("clip_seconds",), ("crop", "head"), ("crop", "epochs", "head")]
    figure = sweeps_drawn(found)
    line, grid, many = figure.axes
    x, y = line.containers[0].lines[0].get_data()
    assert x.tolist() == [1, 2, 5] and y.tolist() == found[0].table["f1"].tolist()
    shown = found[1].table.pivot(index="crop", columns="head", values="f1")
    assert [text.get_text() for text in grid.texts] == [f"{value:.2f}" for value in shown.to_numpy().ravel()]
    ends = sorted(line.get_ydata()[-1] for line in many.lines)
    assert ends == pytest.approx(sorted(found[2].table["f1"])) and len(many.lines[0].get_xdata()) == 4
    plt.close(figure)
    told = sweep_table(found)
    assert len(told) == 11 and told["given"].iloc[0] == "clip_seconds 1.0"
    assert told["F1"].iloc[0].startswith(f"{found[0].table['f1'].iloc[0]:.3f} ± ")


def test_two_runs_differ_in_what_they_were_given_and_scored():
    one, other = store("one", 0.0, head="mlp", seeds=2), store("other", 0.3, head="knn", seeds=2)
    store("again", 0.0, head="mlp", seeds=2)
    parameters, metrics = stored.compared("demo", "one", "other")
    assert parameters.loc["head"].tolist() == ["mlp", "knn"] and len(parameters) == 1
    line = metrics.loc[("pose_vlm", "corrected", "f1")]
    assert line["difference"] == pytest.approx(one - other)
    runs = [results.read_row("pose_vlm", "corrected", paths.results("demo", run)) for run in ("one", "other")]
    between = results.difference(*runs)
    assert line[["low", "high"]].tolist() == [between["low"], between["high"]] and line["low"] > 0
    assert [len(part) for part in stored.compared("demo", "one", "again")] == [0, 0]
    parameters, metrics = stored.compared("demo", "study", "other")
    assert parameters.loc["head"].tolist() == ["linear", "knn"] and parameters.loc["seeds"].tolist() == [5, 2]
    assert not len(metrics)
    with pytest.raises(InputError, match=r"there is no such run.*there are study and again, one, other"):
        stored.compared("demo", "one", "nothing")
