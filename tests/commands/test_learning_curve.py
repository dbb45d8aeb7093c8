"""`mbrepro learning-curve` from a folder with a manifest to its tables and its figure."""

import cv2
import pandas as pd

from mbrepro import cli
from mbrepro.method.boosting import BoostingSettings
from mbrepro.study import learning_curve
from tests.fixtures.rat_files import write_manifest, write_rats


def test_a_folder_of_files_becomes_a_curve(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(learning_curve, "TREES", BoostingSettings(every=5, iterations=3))
    folder = write_manifest(write_rats(tmp_path, (1, 4, 7, 10, 13)) / "rat_dyads")
    assert cli.main(["learning-curve", str(folder), "--out", str(tmp_path / "out"), "--draws", "2"]) == 0
    written = [f"{tmp_path}/out/{name}" for name in ("curve.csv", "extrapolated.csv", "curve.png")]
    assert capsys.readouterr().out.split() == written
    points, laws = (pd.read_csv(path) for path in written[:2])
    assert points["animals"].tolist() == [1, 2, 4] * 2
    assert points["bouts_aggression"].tolist() == points["animals"].tolist()  # one in each recording
    assert points["f1"].between(0, 1).all() and {"f1_aggression", "ap_social", "bout_f1_50_social"} <= set(points)
    assert set(laws["times"]) <= {0, 1, 2, 4} and laws["value"].le(1).all()
    assert cv2.imread(written[2]).shape[2] == 3
