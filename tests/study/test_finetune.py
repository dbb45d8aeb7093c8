"""Fine-tuning from the command line: which clips it learns from, and that a study can take what it writes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mbrepro import cli
from mbrepro.data.clips import cut_clips
from mbrepro.demo.simulated import DemoSettings
from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.method import protocols
from mbrepro.method.pipeline import propose_for_head
from mbrepro.study import profiles
from mbrepro.study.finetune import labelled_clips
from mbrepro.study.profiles import embedder_settings, load_dataset


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    """A demo of three filmed train animals and one test animal, 20 s each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MBREPRO_ROOT", str(tmp_path_factory.mktemp("root")))
        patch.setattr(profiles, "DemoSettings", lambda: DemoSettings(3, 1, 3, 20, 20, video_size=(256, 144)))
        yield load_dataset("task1", "demo")


def test_clips_are_those_a_head_is_trained_on(small_demo):
    protocol = protocols.corrected(embedder_settings("demo", "corrected"))
    made = labelled_clips(small_demo, protocol)
    for recording in small_demo.filmed().train:
        used = propose_for_head(recording, None, replace(protocol, head_clips="labelled"))
        mine = [clip for clip in made if clip.animal == recording.animal]
        assert [clip.label for clip in mine] == [k for k in used.labels if k != 3]
        middles = [(p.start + p.stop) // 2 for p, k in zip(used.proposals, used.labels, strict=True) if k != 3]
        starts = [min(max(0, m - 30), len(recording) - 60) for m in middles]
        for clip, expected in zip(mine, cut_clips(recording, starts, protocol.clips), strict=True):
            assert clip.frames.shape == (16, 112, 112, 3) and np.array_equal(clip.frames, expected)
    assert made


def test_command_writes_a_model_that_embeds(small_demo, tmp_path, capsys):
    folder = tmp_path / "tuned"
    assert cli.main(["finetune", str(folder), "--epochs", "1", "--view", "last_100"]) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    done = json.loads((folder / "fine_tuning.json").read_text())
    assert done["settings"]["view"] == "last_100" and len(done["epochs"]) == 2
    animals = {recording.animal for recording in small_demo.train}
    assert set(done["animals"]) | set(done["held_out_animals"]) <= animals and done["held_out_animals"]
    tuned = load_embedder(EmbedderSettings(str(folder), max_pixels=84 * 84))
    frames = np.zeros((4, 84, 84, 3), np.uint8)
    begun = load_embedder(EmbedderSettings(max_pixels=84 * 84))
    assert not np.array_equal(tuned.embed([frames], 4.0)["last_100"], begun.embed([frames], 4.0)["last_100"])
    assert cli.main(["finetune", str(folder)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["finetune", str(tmp_path / "new"), "--view", "vision"]) == 2
    assert "must be one of last_100, video_100" in capsys.readouterr().err and not (tmp_path / "new").exists()
