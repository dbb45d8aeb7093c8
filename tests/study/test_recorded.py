import json
from dataclasses import replace

import pytest

from mbrepro.artifacts import write_json
from mbrepro.commands import record
from mbrepro.data import labels
from mbrepro.errors import InputError
from mbrepro.report import page, tables
from mbrepro.study import recorded

PAGES = ("audit", "sparsity")  # of labels alone


@pytest.fixture
def no_real_labels(monkeypatch, tmp_path):
    monkeypatch.delenv("MBREPRO_REAL_DATA", raising=False)
    monkeypatch.delenv("MBREPRO_CALMS21", raising=False)
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path))


@pytest.fixture(scope="module")
def audit_figures():
    return recorded.read("audit")["figures"]


@pytest.fixture(scope="module")
def sparsity_figures():
    return recorded.read("sparsity")["figures"]


@pytest.mark.parametrize("page", PAGES)
def test_recorded_figures_are_what_the_real_labels_give(page, real_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    before = recorded.path_of(page).read_bytes()
    kept = recorded.read(page)
    assert recorded.figures(page) == kept["figures"]  # computed again and compared
    assert kept["provenance"]["sha256"] == labels.sha256(labels.real_labels())
    monkeypatch.setattr(recorded, "path_of", lambda name: tmp_path / f"{name}.json")
    assert recorded.record(page).read_bytes() == before


def test_the_recorded_windows_are_what_the_real_ones_give(real_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    before = recorded.path_of("windows").read_bytes()
    monkeypatch.setattr(recorded, "path_of", lambda name: tmp_path / f"{name}.json")
    assert recorded.record("windows").read_bytes() == before


@pytest.mark.parametrize("page", PAGES)
def test_without_labels_the_recorded_figures_are_read(page, no_real_labels):
    assert recorded.figures(page) == json.loads(recorded.path_of(page).read_text())["figures"]
    with pytest.raises(InputError, match="fetch CalMS21, or set MBREPRO_REAL_DATA"):
        recorded.record(page)


def test_audit_figures_by_hand(audit_figures):
    """Figures stated in the audit's description, by split."""
    stated = {
        "test": (440, 0.582, 0.398, 0.180, 0.918, 0.605),
        "train": (745, 0.679, 0.463, 0.174, 0.933, 0.758),
    }
    for split, (count, same, of_four, nothing, right, always) in stated.items():
        clips = audit_figures[split]["clips"]
        assert clips["clips"] == count
        assert clips["most_frequent"] == "investigation"
        found = [clips["as_cut"][key]["value"] for key in ("same", "same_of_all_classes", "nothing")]
        found += [clips["cut_right"]["same"]["value"], clips["always"]["value"]]
        assert found == pytest.approx([same, of_four, nothing, right, always], abs=5e-4)
    attack = audit_figures["test"]["concentration"]["attack"]
    assert (attack["videos"], attack["of"]) == (5, 19)
    assert attack["largest_share"] == pytest.approx(0.365, abs=5e-4)
    assert audit_figures["lengths"]["different"] == 89


def test_sparsity_figures_by_hand(sparsity_figures):
    test, train = sparsity_figures["test"], sparsity_figures["train"]
    assert [s["skippable"]["value"] for s in (train, test)] == pytest.approx([0.627, 0.597], abs=5e-4)
    assert 1 - test["touched_5s"]["gap_0s"]["value"] == pytest.approx(0.372, abs=5e-4)
    assert 1 - test["touched_5s"]["gap_2s"]["value"] == pytest.approx(0.387, abs=5e-4)
    ceilings = [test["ceilings"][f"gap_{gap}s"]["whole"]["value"] for gap in (0, 1, 2, 5)]
    assert ceilings == pytest.approx([0.865, 0.835, 0.787, 0.696], abs=5e-4)
    windows = [test["windows"][f"{length}s"]["value"] for length in (5, 2, 1)]
    assert windows == pytest.approx([0.734, 0.842, 0.902], abs=5e-4)
    under = [s["bouts"]["all"][limit]["value"] for s in (train, test) for limit in ("under_5s", "under_1s")]
    assert under == pytest.approx([0.857, 0.409, 0.889, 0.510], abs=5e-4)


def every_interval(value, name=""):
    if isinstance(value, dict):
        if {"value", "low", "high"} <= value.keys():
            yield name, value
        for key, part in value.items():
            yield from every_interval(part, f"{name}.{key}")
    elif isinstance(value, list):
        for part in value:
            yield from every_interval(part, name)


@pytest.mark.parametrize("page", PAGES)
def test_every_interval_holds_its_value_and_no_label_is_recorded(page):
    content = recorded.read(page)
    intervals = list(every_interval(content["figures"]))
    assert len(intervals) > 40
    for name, told in intervals:
        assert told["low"] <= told["value"] <= told["high"], name
    assert "task1_annotator1" not in recorded.path_of(page).read_text()
    assert len(content["provenance"]["sha256"]) == 64


def test_pages_are_recorded_by_name(monkeypatch, capsys):
    monkeypatch.setattr(recorded, "record", lambda page: f"{page}.json")
    record.command(["rats", "audit"])
    record.command()
    assert capsys.readouterr().out.split() == [f"{page}.json" for page in ("rats", "audit", *recorded.PAGES)]
    with pytest.raises(InputError, match=r"no figures are recorded of 'mice', only of audit, .*rats"):
        record.command(["mice"])


def test_a_difference_is_named(no_real_labels, monkeypatch, tmp_path):
    path = tmp_path / "audit.json"
    kept = {"test": {"share": {"value": 0.5}, "counts": [1, 2]}, "name": "attack", "none": None}
    recorded.compare(
        path, kept, {"test": {"share": {"value": 0.5 + 1e-12}, "counts": [1, 2]}, "name": "attack", "none": None}
    )
    changes = {
        "test.share.value is recorded as 0.5, .* is 0.6": {**kept, "test": {"share": {"value": 0.6}, "counts": [1, 2]}},
        r"test\.counts\[1\] is recorded as 2": {**kept, "test": {"share": {"value": 0.5}, "counts": [1, 3]}},
        "test is recorded as .* another form": {**kept, "test": {"share": {"value": 0.5}}},
        "name is recorded as attack, .* is mount": {**kept, "name": "mount"},
    }
    for message, again in changes.items():
        with pytest.raises(InputError, match=message):
            recorded.compare(path, kept, again)


def test_own_download_without_the_authors_predictions_is_enough(audit_figures, monkeypatch):
    without = {key: value for key, value in audit_figures.items() if key != "mouse071"}
    made = replace(recorded.PAGES["audit"], read=lambda: "labels")
    monkeypatch.setitem(recorded.PAGES, "audit", replace(made, figures=lambda _: dict(without)))
    assert recorded.figures("audit") == audit_figures
    monkeypatch.setitem(recorded.PAGES, "audit", replace(made, figures=lambda _: {**without, "lengths": {}}))
    with pytest.raises(InputError, match=r"audit\.json: lengths is recorded as"):
        recorded.figures("audit")


def test_recording_without_the_authors_predictions_keeps_theirs(audit_figures, monkeypatch, tmp_path):
    kept = recorded.read("audit")
    write_json(tmp_path / "audit.json", kept)
    data = labels.LabelSet(("attack", "other"), (), (), "CalMS21")
    monkeypatch.setattr(recorded, "path_of", lambda page: tmp_path / f"{page}.json")
    made = replace(recorded.PAGES["audit"], read=lambda: (data, None), figures=lambda _: {"test": 1})
    monkeypatch.setitem(recorded.PAGES, "audit", made)
    recorded.record("audit")
    again = recorded.read("audit")
    assert again["figures"] == {"test": 1, "mouse071": audit_figures["mouse071"]}
    assert again["provenance"] == kept["provenance"] | {"sha256": labels.sha256(data)}


def test_missing_or_broken_record_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(recorded, "path_of", lambda page: tmp_path / f"{page}.json")
    with pytest.raises(InputError, match=r"audit\.json: no recorded figures"):
        recorded.read("audit")
    (tmp_path / "audit.json").write_text("{}")
    with pytest.raises(InputError, match=r"audit\.json: no recorded figures"):
        recorded.read("audit")


def test_numbers_are_flat():
    found = {"test": {"a b": {"value": 0.5, "low": 0.1, "high": 0.9}, "n": 3, "list": [1], "word": "x"}}
    expected = {"p_test_a_b": 0.5, "p_test_a_b_low": 0.1, "p_test_a_b_high": 0.9, "p_test_n": 3.0}
    assert dict(recorded.numbers(found, "p")) == expected


def test_notice_says_that_the_animals_are_real():
    for name in PAGES:
        assert "Real animals." in page.recorded_notice(name).data
        assert "imulated recording involved" in page.recorded_notice(name).data


def test_nine_points_hold_the_recorded_figures(audit_figures, sparsity_figures):
    said = tables.nine_points(audit_figures, sparsity_figures)["measured"].tolist()
    assert len(said) == 9
    for line, parts in enumerate(
        (("58.2%", "91.8%"), ("0.605",), ("Qwen2-VL-2B",), ("4 frames 1.66 s", "66.1%"), ("0 of the 89",),
         ("0.528", "0.382"), ("5 of 19", "36%"), ("88.9%", "51%"), ("59.7%", "37.2%"))
    ):  # fmt: skip
        assert all(part in said[line] for part in parts), said[line]


def test_tables_show_what_is_recorded(audit_figures, sparsity_figures):
    test = audit_figures["test"]
    people = recorded.read("human")["figures"]["first"]["metrics"]
    rows = tables.end_to_end_table(test["clips"], test["always_investigation"], people)
    assert rows.loc["two people, on other recordings"].round(3).tolist() == [0.826, 0.853]
    assert rows.loc["poster, from its confusion matrix"].round(3).tolist() == [0.382, 0.523]
    assert rows.iloc[1].round(3).tolist() == [0.434, 0.542]
    clips = tables.clip_table(audit_figures)
    assert clips.iloc[2, 2:].tolist() == ["58.2% (47% – 71%)", "39.8% (32% – 50%)", "18.0% (11% – 25%)"]
    skipped = tables.skipped_table(sparsity_figures)
    assert skipped["test"].tolist()[0] == "59.7% (53% – 66%)"
    assert tables.windows_table(sparsity_figures)["window"].tolist() == ["0.5 s", "1 s", "2 s", "5 s", "10 s"]
    durations = tables.durations_table(sparsity_figures).set_index("seconds")
    assert durations.loc["train: attack"].tolist() == ["194", "0.23", "0.61", "1.53", "3.27", "7.32"]
    own = tables.mouse071_tables(audit_figures["mouse071"])
    assert own["stage 1"].columns.tolist() == ["accuracy", "precision", "recall", "F1", "AP of bare labels"]
    assert own["stage 1"].loc["stage 1 on mouse071", "F1"] == audit_figures["mouse071"]["stage1_f1"]
    always = own["both stages"].loc["same stage 1, always investigation", "F1 of 4 classes"]
    assert always == audit_figures["mouse071"]["always_investigation_macro_f1"]
    following = tables.transition_table(sparsity_figures["train"]["next"])
    assert following.sum(axis=1).round(9).tolist() == [1, 1, 1, 1] and following.loc["attack", "attack"] == 0
    accuracies = tables.clip_accuracies(test["clips"])
    assert accuracies["perfect observer, clips cut at frame / 60"]["value"] == pytest.approx(0.582, abs=5e-4)
    assert accuracies["the poster (paper's text)"] == 0.47 and len(accuracies) == 5
