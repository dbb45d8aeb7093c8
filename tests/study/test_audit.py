import numpy as np
import pytest

from mbrepro.data.labels import LabelTrack
from mbrepro.data.recordings import Prediction, Recording
from mbrepro.errors import InputError
from mbrepro.method.proposals import Proposal
from mbrepro.study import audit, poster
from mbrepro.study.results import Run
from tests.fixtures.tracks import track


def video(*parts: tuple[str, int], name: str = "v") -> LabelTrack:
    """Labels at 30 fps from letters and numbers of frames."""
    return track("".join(letter * frames for letter, frames in parts), name, fps=30.0)


def test_clips_start_at_half_their_time_at_the_assumed_rate():
    proposals = [Proposal(100, 400, 1.0), Proposal(401, 500, 1.0)]
    assert audit.clip_windows(proposals, 30.0, 60.0) == [slice(50, 200), slice(200, 350)]
    assert audit.clip_windows(proposals, 30.0, None) == [slice(100, 250), slice(401, 551)]
    assert audit.clip_windows(proposals, 60.0, 60.0) == [slice(100, 400), slice(401, 701)]  # right if it were 60 fps


def test_what_clips_hold_by_hand():
    """Proposals at 400 (attack; cut at frames 200 to 349) and at 1000 (mount; cut at 500 to 649)."""
    one = video((".", 200), ("i", 40), (".", 160), ("a", 200), (".", 400), ("m", 200), (".", 100))
    found = audit.clips([one], [one])
    assert found["clips"] == 2
    cut, right = found["as_cut"], found["cut_right"]
    assert cut["seen"]["attack"] == {"attack": 0, "investigation": 1, "mount": 0, audit.NOTHING: 0}
    assert cut["seen"]["mount"] == {"attack": 1, "investigation": 0, "mount": 0, audit.NOTHING: 0}
    assert cut["same"]["value"] == 0.0
    assert right["same"]["value"] == right["same_of_all_classes"]["value"] == 1.0
    assert cut["nothing"]["value"] == 0.0
    assert cut["guesser"]["value"] == 1.0  # what is seen tells the label, once one has learned that it is another
    assert right["end_to_end"]["f1"]["value"] == pytest.approx(2 / 3)  # investigation is never proposed
    assert cut["end_to_end"]["f1"]["value"] == 0.0  # investigation for attack, attack for mount


def test_a_clip_of_other_counts_as_no_behaviour_or_as_other():
    one = video((".", 400), ("i", 200), (".", 100))
    cut = audit.clips([one], [one])["as_cut"]
    assert cut["seen"]["investigation"][audit.NOTHING] == 1
    assert cut["nothing"]["value"] == 1.0
    mostly = video((".", 195), ("i", 20), (".", 185), ("i", 200), (".", 100))
    cut = audit.clips([mostly], [mostly])["as_cut"]
    assert cut["same"]["value"] == 1.0  # 15 frames of it are seen
    assert cut["same_of_all_classes"]["value"] == 0.0  # but other is more frequent


def test_videos_without_a_proposal_have_no_shares():
    found = audit.clips([video((".", 50))], [video((".", 50))])
    assert found["clips"] == 0
    assert np.isnan(found["as_cut"]["same"]["value"])


def test_four_frames_lie_a_third_of_the_clip_apart():
    assert audit.shown_frames().tolist() == [0, 50, 99, 149]
    told = audit.frames_shown([video((".", 10), ("a", 49), (".", 5), ("a", 50), ("m", 51), (".", 5))])
    assert told["spacing_s"] == pytest.approx(149 / 3 / 30)
    assert told["bouts_shorter"]["attack"]["value"] == 0.5
    assert told["bouts_shorter"]["mount"]["value"] == 0.0
    assert told["bouts_shorter"]["all"]["value"] == pytest.approx(1 / 3)


def test_always_one_name_by_hand():
    found = audit.always([video((".", 40), ("i", 30), ("a", 30))], "investigation")
    f1 = 2 * 30 / (2 * 30 + 30)
    assert found == pytest.approx({"f1": f1 / 3, "macro_f1": (f1 + 1) / 4})


def test_only_one_checkpoint_has_the_posters_width_and_no_video_is_task_3s():
    assert audit.checkpoints(audit.POSTER_WIDTH) == ["Qwen2-VL-2B"]
    assert audit.released_videos() == {"task1": 89, "task3": 0}


def test_lengths_that_some_videos_share():
    found = audit.equal_lengths([video((".", n)) for n in (10, 12, 12, 19)])
    assert found == {"videos": 4, "different": 3, "by_chance": 0.3}


def test_concentration_by_hand():
    found = audit.concentration([video(("a", 3), (".", 2)), video(("a", 1), ("i", 4)), video((".", 9))])
    assert found["attack"] == {"videos": 2, "of": 3, "largest_share": 0.75, "frames": [3, 1, 0]}
    assert np.isnan(found["mount"]["largest_share"])


def test_interval_by_clip_is_the_binomial_one():
    found = audit.width_by_clip({"value": 0.5, "low": 0.3, "high": 0.8}, 100)
    assert found == pytest.approx({"by_video": 0.25, "by_clip": 0.098})


def test_collapsed_baseline_is_what_its_published_shares_say():
    """From the published columns of the first seed: recall and precision of other, whose names are interchanged."""
    assert audit.collapsed_baseline()["f1"] == pytest.approx(0.923, abs=5e-4)
    assert audit.collapsed_baseline()["sd"] == pytest.approx(0.0015, abs=5e-5)
    hits, claimed = audit.OFFICIAL_OTHER[0]
    assert hits / audit.OFFICIAL_FRAMES["other"] == pytest.approx(0.9194739905466687)
    assert hits / claimed == pytest.approx(0.9698304650237133)
    assert sum(audit.OFFICIAL_FRAMES.values()) == sum(poster.TEST_FRAMES)


def test_binary_scores_are_means_over_seeds():
    true = np.array([0, 0, 1, 1])
    good, half = np.eye(2)[true], np.eye(2)[[0, 1, 0, 1]]
    runs = [
        Run(seed, "task1", ("action", "other"), (Prediction("v", true, s.argmax(1), s),))
        for seed, s in enumerate((good, half))
    ]
    row = audit.binary_scores({"net": runs}).loc["net"]
    assert row.to_dict() == pytest.approx({"F1": 0.75, "precision": 0.75, "average precision": 0.75})


def test_no_clip_can_be_shown_without_video():
    recording = Recording("r", np.zeros((9, 2, 7, 2)), labels=np.r_[3, np.zeros(8, int)])
    with pytest.raises(InputError, match="no recording has both video and a bout"):
        audit.two_cuts([recording])


def write_author(folder, first, said, first_true, true):
    names = ("ifaction_pred", "action_pred", "ground_truth_ifactions", "ground_truth_actions")
    for name, values in zip(names, (first, said, first_true, true), strict=True):
        np.save(folder / f"demo_{name}.npy", np.array(values))


def test_author_predictions_by_hand(tmp_path):
    write_author(tmp_path, [0, 0, 0, 1], [1, 2, 1, 3], [0, 0, 1, 1], [1, 1, 3, 3])
    told = audit.author_predictions(tmp_path)
    assert told["stage1_precision"] == pytest.approx(2 / 3)
    assert told["stage1_recall"] == 1.0
    assert told["stage1_ap"] == pytest.approx(2 / 3)
    assert told["accuracy"] == 0.5
    assert told["always_investigation_accuracy"] == 0.75
    assert told["f1_present"] == pytest.approx((0.5 + 0 + 2 / 3) / 3)
    before = audit.author_sha256(tmp_path)
    write_author(tmp_path, [0, 0, 1, 1], [1, 2, 1, 3], [0, 0, 1, 1], [1, 1, 3, 3])
    assert audit.author_sha256(tmp_path) != before


def test_author_predictions_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        audit.author_predictions(tmp_path)
    write_author(tmp_path, [0, 1], [1, 3], [0, 0], [1, 3])
    with pytest.raises(InputError, match="the true actions of the two stages differ"):
        audit.author_predictions(tmp_path)


def test_author_predictions_of_mouse071_have_their_known_scores(real_data):
    told = audit.author_predictions(real_data / "author_predictions_mouse071")
    known = {"accuracy": 0.95384, "precision": 0.89294, "recall": 0.97135, "f1": 0.93049, "ap": 0.87646}
    assert {name: told[f"stage1_{name}"] for name in known} == pytest.approx(known, abs=5e-6)
    assert told["accuracy"] == pytest.approx(0.76497, abs=5e-6)
    assert told["f1_present"] == pytest.approx(0.44056, abs=5e-6)
