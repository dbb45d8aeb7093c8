from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbrepro.data.recordings import TASK1_CLASSES, UNLABELLED
from mbrepro.errors import InputError
from mbrepro.method.proposals import HysteresisRule, PosterRule, Proposal, moving_average, proposal_labels, propose

FPS = 10.0  # of the hand-made tracks, so that k frames are k / 10 s
PAPER_TEXT = PosterRule(min_action_frames=13)
P_ACTION = st.lists(st.integers(0, 64).map(lambda k: k / 64), max_size=80).map(np.array)  # sums without rounding
SHORT_POSTER = st.builds(
    PosterRule, horizon_frames=st.integers(6, 20), min_action_frames=st.integers(1, 5), threshold=st.just(0.5)
)
SHORT_HYSTERESIS = st.builds(
    HysteresisRule,
    smooth_s=st.integers(1, 6).map(lambda frames: frames / FPS),
    enter=st.sampled_from([0.5, 0.75]),
    leave=st.sampled_from([0.25, 0.5]),
    merge_gap_s=st.integers(0, 5).map(lambda frames: frames / FPS),
    min_s=st.integers(1, 4).map(lambda frames: frames / FPS),
    max_s=st.one_of(st.none(), st.integers(4, 12).map(lambda frames: frames / FPS)),
)


def track(*lengths: int) -> np.ndarray:
    """P(action) 0 and 1 in turn, beginning with other."""
    return np.repeat(np.arange(len(lengths)) % 2, lengths).astype(float)


def spans(proposals: list[Proposal]) -> list[tuple[int, int]]:
    return [(p.start, p.stop) for p in proposals]


def by_loop(p_action: np.ndarray, rule: PosterRule) -> list[tuple[int, int]]:
    """The poster's rule read aloud."""
    action = [p >= rule.threshold for p in p_action]
    starts = []
    for i in range(len(action) - 1):
        persisting = sum(action[i + 1 : i + rule.horizon_frames])
        if not action[i] and action[i + 1] and persisting >= rule.min_action_frames:
            starts.append(i + 1)
    ends = [*starts[1:], len(action)]
    return [(a, min(a + rule.horizon_frames, b, len(action))) for a, b in zip(starts, ends, strict=False)]


@given(P_ACTION, SHORT_POSTER)
def test_posters_rule_is_its_plain_reading(p_action, rule):
    assert spans(propose(p_action, rule)) == by_loop(p_action, rule)


@given(P_ACTION, st.one_of(SHORT_POSTER, SHORT_HYSTERESIS))
def test_proposals_are_inside_in_order_disjoint_and_scored(p_action, rule):
    stop = 0
    for proposal in propose(p_action, rule, FPS):
        assert stop <= proposal.start < proposal.stop <= len(p_action)
        assert proposal.score == pytest.approx(p_action[proposal.start : proposal.stop].mean())
        stop = proposal.stop


def test_poster_needs_more_than_half_of_the_horizon():
    assert spans(propose(track(10, 151, 400), PosterRule())) == [(10, 310)]
    assert propose(track(10, 150, 400), PosterRule()) == []
    assert spans(propose(track(10, 13, 400), PAPER_TEXT)) == [(10, 310)]
    assert propose(track(10, 12, 400), PAPER_TEXT) == []


def test_poster_counts_299_frames_from_the_onset():
    # 150 action frames, then one more in the horizon's frame 298 (counted) or 299 (not counted).
    assert spans(propose(track(10, 150, 148, 1, 300), PosterRule()))[:1] == [(10, 310)]
    assert propose(track(10, 150, 149, 1, 300), PosterRule()) == []


def test_poster_ends_at_the_next_proposal_or_the_recordings_end():
    assert spans(propose(track(10, 160, 5, 200), PosterRule())) == [(10, 175), (175, 375)]
    assert spans(propose(track(5, 700), PosterRule())) == [(5, 305)]


@pytest.mark.parametrize("rule", [PosterRule(), PAPER_TEXT, HysteresisRule()])
def test_nothing_gives_nothing(rule):
    assert propose(np.zeros(0), rule) == []
    assert propose(np.zeros(1000), rule) == []


def test_recording_of_action_alone_has_no_onset_for_the_poster():
    assert propose(np.ones(1000), PosterRule()) == []
    whole = propose(np.ones(1000), HysteresisRule(max_s=None))
    assert whole == [Proposal(0, 1000, 1.0)]
    assert spans(propose(np.ones(9), HysteresisRule(min_s=0.1, max_s=0.4), FPS)) == [(0, 3), (3, 6), (6, 9)]


def by_steps(p_action: np.ndarray, rule: HysteresisRule) -> list[tuple[int, int]]:
    """Hysteresis as a state machine over frames, then merging, dropping and splitting on sets of frames."""
    smooth_frames, gap, shortest = (int(FPS * s + 0.5) for s in (rule.smooth_s, rule.merge_gap_s, rule.min_s))
    back, ahead = (smooth_frames - 1) // 2, smooth_frames // 2
    smooth = [p_action[max(0, t - back) : t + ahead + 1].mean() for t in range(len(p_action))]
    inside = [value >= rule.enter for value in smooth]
    for _ in inside:  # spread from where it enters to neighbours that have not left
        inside = [
            now or (smooth[t] >= rule.leave and any(inside[max(0, t - 1) : t + 2])) for t, now in enumerate(inside)
        ]
    frames = np.flatnonzero(inside)
    groups = np.split(frames, np.flatnonzero(np.diff(frames) > gap + 1) + 1)
    kept = [(g[0], g[-1] + 1) for g in groups if len(g) and g[-1] + 1 - g[0] >= shortest]
    parts = []
    for a, b in kept:
        count = 1 if rule.max_s is None else int(np.ceil((b - a) / int(FPS * rule.max_s + 0.5)))
        edges = [a + (k * (b - a)) // count for k in range(count + 1)]
        parts += pairwise(edges)
    return parts


@given(P_ACTION, SHORT_HYSTERESIS)
def test_hysteresis_is_its_state_machine(p_action, rule):
    assert spans(propose(p_action, rule, FPS)) == by_steps(p_action, rule)


def test_hysteresis_by_hand():
    p = np.array([0.0, 0.5, 0.8, 0.5, 0.1, 0.5, 0.5, 0.0, 0.9, 0.0])
    plain = HysteresisRule(0.0, enter=0.7, leave=0.4, merge_gap_s=0.0, min_s=0.1, max_s=None)
    assert spans(propose(p, plain, FPS)) == [(1, 4), (8, 9)]  # frames 5 and 6 never enter
    merging = HysteresisRule(0.0, enter=0.7, leave=0.4, merge_gap_s=0.4, min_s=0.1, max_s=None)
    assert spans(propose(p, merging, FPS)) == [(1, 9)]
    near = HysteresisRule(0.0, merge_gap_s=0.2, min_s=0.0)
    assert spans(propose(track(1, 2, 8, 2, 2, 2), near, FPS)) == [(1, 3), (11, 17)]  # the third is near the second
    longer = HysteresisRule(0.0, enter=0.7, leave=0.4, merge_gap_s=0.0, min_s=0.2, max_s=None)
    assert spans(propose(p, longer, FPS)) == [(1, 4)]
    assert propose(p, longer, FPS)[0].score == pytest.approx(0.6)
    exactly = HysteresisRule(0.0, enter=0.75, leave=0.5, merge_gap_s=0.0, min_s=0.3, max_s=0.3)
    assert spans(propose(np.array([0.25, 0.5, 0.75, 0.5, 0.25]), exactly, FPS)) == [(1, 4)]
    single = HysteresisRule(0.0, min_s=0.0, max_s=0.01)  # under a frame: a frame each
    assert spans(propose(np.array([0.0, 1.0, 1.0, 1.0]), single, FPS)) == [(1, 2), (2, 3), (3, 4)]


def test_defaults_are_the_posters_and_those_of_the_documentation():
    assert PosterRule() == PosterRule(horizon_frames=300, min_action_frames=151, threshold=0.5)
    assert HysteresisRule() == HysteresisRule(0.3, enter=0.6, leave=0.4, merge_gap_s=1 / 3, min_s=1 / 3, max_s=2.0)


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0, 120.0])
def test_a_rule_in_seconds_finds_the_same_stretches_at_every_frame_rate(fps):
    """13 short calls within a second are one proposal; a rule in frames of 30 fps made 13 of them at 120 fps."""
    seconds = np.arange(0, 20, 1 / fps)
    p_action = ((seconds % 0.4 < 0.2) & (seconds > 5) & (seconds < 11)).astype(float)
    found = propose(p_action, HysteresisRule(smooth_s=0.0, max_s=None), fps)
    assert [(p.start / fps, p.stop / fps) for p in found] == [pytest.approx((5.2, 11.0), abs=0.25)]


def test_a_rule_in_seconds_follows_an_uneven_clock():
    """The same calls filmed at 60, then at 15 frames a second; the poster counts frames whatever the clock."""
    seconds = np.r_[np.arange(0, 8, 1 / 60), np.arange(8, 20, 1 / 15)]
    p_action = ((seconds % 0.4 < 0.2) & (seconds > 5) & (seconds < 11)).astype(float)
    rule = HysteresisRule(smooth_s=0.0, max_s=None)
    found = propose(p_action, rule, seconds)
    assert [(seconds[p.start], seconds[p.stop]) for p in found] == [pytest.approx((5.2, 11.0), abs=0.25)]
    assert found[0].score == pytest.approx(p_action[found[0].start : found[0].stop].mean())
    assert propose(p_action, PosterRule(), seconds) == propose(p_action, PosterRule())
    even = np.arange(len(p_action)) / 30
    for way in (rule, HysteresisRule()):
        assert spans(propose(p_action, way, even)) == spans(propose(p_action, way, 30.0))


def test_a_pause_of_the_camera_is_no_proposal():
    seconds = np.r_[np.arange(0, 5, 0.1), np.arange(30, 35, 0.1)]
    found = propose(np.ones(100), HysteresisRule(), seconds)
    assert found[0].start == 0 and found[-1].stop == 100
    assert all(one.stop == other.start for one, other in pairwise(found)) and all(p.score == 1 for p in found)


def test_moving_average_is_shorter_at_the_ends():
    assert moving_average(np.array([3.0, 0, 0, 6]), 3) == pytest.approx([1.5, 1, 2, 3])
    assert moving_average(np.array([3.0, 0, 0, 6]), 2) == pytest.approx([1.5, 0, 3, 6])


def test_label_is_the_most_frequent_behaviour_and_other_only_alone():
    labels = np.array([3, 3, 3, 1, 3, 2, 0, 3, 3])
    proposals = [Proposal(0, 5, 1.0), Proposal(0, 3, 1.0), Proposal(5, 9, 1.0), Proposal(3, 5, 1.0)]
    assert proposal_labels(labels, proposals, TASK1_CLASSES).tolist() == [1, 3, 0, 1]  # attack, mount tie: the first
    assert proposal_labels(labels, [Proposal(2, 2, 1.0)], ("sniff_face", "mount")).tolist() == [0]
    assert proposal_labels(labels, [], TASK1_CLASSES).shape == (0,)
    assert proposal_labels(np.array([0, 1, 0]), [Proposal(0, 3, 1.0)], ("other", "sniff_face")).tolist() == [1]
    labels = np.array([UNLABELLED, UNLABELLED, UNLABELLED, 2, 3])
    proposals = [Proposal(0, 2, 1.0), Proposal(1, 5, 1.0), Proposal(2, 2, 1.0)]
    assert proposal_labels(labels, proposals, TASK1_CLASSES).tolist() == [UNLABELLED, 2, 3]


@pytest.mark.parametrize(
    ("split", "clips", "as_cut", "as_cut_of_four", "without", "right", "investigation"),
    [("test", 440, 0.582, 0.398, 0.180, 0.918, 0.605), ("train", 745, 0.679, 0.463, 0.174, 0.933, 0.758)],
)
def test_real_labels_give_the_audits_figures(
    real_data, split, clips, as_cut, as_cut_of_four, without, right, investigation
):
    """Perfect localization on CalMS21's labels, clips cut at frame / 60 of 30-fps videos as in the poster's code."""
    given_label, seen, seen_right = [], [], []
    with np.load(real_data / "calms21_labels" / "task1_labels.npz") as stored:
        for name in stored.files:
            if name.startswith(split):
                labels = stored[name].astype(np.int64)
                proposals = propose((labels != 3).astype(float), PosterRule())
                given_label.append(proposal_labels(labels, proposals, TASK1_CLASSES))
                seen += [np.bincount(labels[p.start // 2 :][:150], minlength=4) for p in proposals]
                seen_right += [np.bincount(labels[p.start :][:150], minlength=4) for p in proposals]
    given_label, seen, seen_right = np.concatenate(given_label), np.array(seen), np.array(seen_right)
    assert len(given_label) == clips
    any_seen = seen[:, :3].any(1)
    assert np.mean(any_seen & (seen[:, :3].argmax(1) == given_label)) == pytest.approx(as_cut, abs=5e-4)
    assert np.mean(seen.argmax(1) == given_label) == pytest.approx(as_cut_of_four, abs=5e-4)
    assert np.mean(~any_seen) == pytest.approx(without, abs=5e-4)
    assert np.mean(seen_right[:, :3].argmax(1) == given_label) == pytest.approx(right, abs=5e-4)
    assert np.mean(given_label == 1) == pytest.approx(investigation, abs=5e-4)


@pytest.mark.parametrize("rule", [PosterRule(), HysteresisRule()])
@pytest.mark.parametrize(
    ("p_action", "message"),
    [
        (np.zeros((4, 2)), r"shape \(T,\), not \(4, 2\)"),
        (np.array([0, np.nan]), "is nan at frame 1"),
        (np.array([0.0, 1.0, 1.5]), "is 1.5 at frame 2"),
        (np.array([0.5, -0.5, 0.5]), "is -0.5 at frame 1"),
    ],
)
def test_p_action_that_is_no_probability_track_is_refused(p_action, message, rule):
    with pytest.raises(InputError, match=message):
        propose(p_action, rule)


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (PosterRule, {"min_action_frames": 300}),
        (PosterRule, {"min_action_frames": 0}),
        (HysteresisRule, {"enter": 0.2, "leave": 0.3}),
        (HysteresisRule, {"min_s": float("nan")}),
        (HysteresisRule, {"smooth_s": -0.1}),
        (HysteresisRule, {"max_s": 0.5, "min_s": 0.6}),
    ],
)
def test_rules_out_of_range_are_refused(rule, changes):
    with pytest.raises(InputError):
        rule(**changes)
