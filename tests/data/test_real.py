import numpy as np
import pytest

from mbrepro.data import real
from mbrepro.data.labels import LabelTrack, real_labels
from mbrepro.errors import InputError


def write(folder, name, **arrays):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    np.savez(path, **arrays)


def test_two_people_and_a_model_by_hand(tmp_path):
    write(tmp_path, real.PEOPLE, recording_02=np.array([[0, 3], [1, 3]], np.uint8), recording_01=np.full((2, 5), 2))
    one, two = real.human_pairs(tmp_path)
    assert [(a.name, a.labels.tolist(), b.labels.tolist()) for a, b in zip(one, two, strict=True)] == [
        ("recording_01", [2] * 5, [2] * 5), ("recording_02", [0, 3], [1, 3]),
    ]  # fmt: skip
    write(tmp_path, real.PREDICTIONS, **{"test/v": np.array([3, 0, 1])})
    (said,) = real.feral_predictions(tmp_path, [LabelTrack("v", np.array([3, 3, 3]))])
    assert (said.name, said.labels.tolist()) == ("v", [3, 0, 1])


@pytest.mark.parametrize(
    ("track", "told"), [(("w", 3), "w is not in it"), (("v", 4), "v has 3 predictions for 4 frames")]
)
def test_predictions_that_do_not_fit_are_named(tmp_path, track, told):
    write(tmp_path, real.PREDICTIONS, **{"test/v": np.array([3, 0, 1])})
    with pytest.raises(InputError, match=f"predictions.npz: {told}"):
        real.feral_predictions(tmp_path, [LabelTrack(track[0], np.full(track[1], 3))])


def test_damaged_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"labels\.npz: cannot be read"):
        real.human_pairs(tmp_path)
    write(tmp_path, real.PEOPLE, recording_01=np.zeros(5, np.uint8))
    with pytest.raises(InputError, match="recording_01 is not two people's labels"):
        real.human_pairs(tmp_path)
    write(tmp_path, real.PEOPLE, recording_01=np.full((2, 5), 7))
    with pytest.raises(InputError, match="recording_01: labels must be from 0 to 3"):
        real.human_pairs(tmp_path)


def test_real_files(real_data, monkeypatch):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    one, two = real.human_pairs(real_data)
    assert len(one) == 10 and sum(map(len, one)) == sum(map(len, two)) == 184_499
    assert not {len(t) for t in one} & {len(t) for t in (*real_labels().train, *real_labels().test)}
    assert sum(map(len, real.feral_predictions(real_data, real_labels().test))) == 262_107
