"""Captions on disk: each clip is asked about once, and a change of what was asked is another file."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import Recording
from mbrepro.data.video import write_video
from mbrepro.embedding.captions import caption_recording
from mbrepro.errors import InputError

CLIPS = ClipSettings(seconds=0.5, sampled_fps=8.0)


class Speaker:
    """Says how bright a clip is, and what was asked for; counts the clips it is asked about."""

    takes = "pixels"

    def __init__(self, batch_size=2, short=False, model="speaker"):
        self.settings = SimpleNamespace(batch_size=batch_size, model=model)
        self.identity, self.asked, self.short = {"batch_size": batch_size, "model": model}, [], short

    def caption(self, clips, fps, max_new_tokens):
        self.asked.append(len(clips))
        return [f"{clip[0].mean():.0f} of {max_new_tokens}" for clip in clips][self.short :]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    video = tmp_path_factory.mktemp("video") / "grey.mp4"
    write_video(video, (np.full((64, 96, 3), 2 + 4 * i, np.uint8) for i in range(60)), 30.0, 96, 64, crf=0)
    return Recording("task1/mouse001", np.random.default_rng(0).uniform(200, 400, (60, 2, 7, 2)), video=video)


def test_captions_are_made_once_and_read_back(recording, tmp_path):
    speaker, starts = Speaker(), list(range(0, 45, 2))
    first = caption_recording(recording, starts, CLIPS, speaker, 7, tmp_path)
    assert [abs(int(text.split()[0]) - (2 + 4 * s)) <= 2 for text, s in zip(first, starts, strict=True)] == [True] * 23
    assert speaker.asked == [16, 7]  # 16 clips in memory at a time
    assert caption_recording(recording, starts, CLIPS, speaker, 7, tmp_path) == first and len(speaker.asked) == 2
    (path,) = tmp_path.iterdir()
    told = json.loads(path.read_text())
    assert path.name.startswith("task1_mouse001-captions-")
    assert told["captions"] == dict(zip(map(str, starts), first, strict=True)) and told["max_new_tokens"] == 7
    path.write_text(path.read_text()[:-20])
    assert caption_recording(recording, starts, CLIPS, speaker, 7, tmp_path) == first and speaker.asked[2:] == [16, 7]


def test_only_clips_that_are_missing_are_asked_about_in_any_order(recording, tmp_path):
    speaker = Speaker()
    early, late = (caption_recording(recording, [start], CLIPS, speaker, 7, tmp_path) for start in (0, 40))
    assert caption_recording(recording, [40, 20, 0, 40], CLIPS, speaker, 7, tmp_path)[::2] == late + early
    assert speaker.asked == [1, 1, 1] and len(list(tmp_path.iterdir())) == 1


def test_what_changes_a_caption_changes_its_file(recording, tmp_path):
    longer = ClipSettings(seconds=0.6, sampled_fps=8.0)
    asked = [(CLIPS, Speaker(), 7), (longer, Speaker(), 7), (CLIPS, Speaker(model="x"), 7), (CLIPS, Speaker(), 8)]
    for count, how in enumerate(asked, 1):
        caption_recording(recording, [0, 2], *how, tmp_path)
        assert len(list(tmp_path.iterdir())) == count
    assert caption_recording(recording, [], CLIPS, Speaker(), 7, tmp_path) == []


def test_a_clip_without_caption_is_an_error(recording, tmp_path):
    with pytest.raises(InputError, match="gave 1 captions for 2 clips"):
        caption_recording(recording, [0, 2], ClipSettings(seconds=0.5), Speaker(short=True), 7, tmp_path)
    assert not list(tmp_path.glob("*.json"))
