"""An encoder's untrained twin; that of a language model is tested with what it is compared in."""

import json

import numpy as np
import pytest
import torch
from transformers import Dinov2Model, SiglipVisionModel

from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.twin import untrained_twin
from tests.fixtures.tiny_checkpoint import noise_clip
from tests.fixtures.tiny_encoders import write_encoder


def load(folder):
    return load_embedder(EmbedderSettings(str(folder)))


@pytest.mark.parametrize(("kind", "library"), [("dinov2", Dinov2Model), ("siglip", SiglipVisionModel)])
def test_twin_has_the_weights_that_the_library_draws(tmp_path, kind, library):
    model = write_encoder(tmp_path / "model", kind)
    twin = load(untrained_twin(str(model), tmp_path, 7))
    torch.manual_seed(7)
    drawn = library._from_config(load(model).model.config).half().float().state_dict()
    kept = twin.model.state_dict()
    assert kept.keys() == drawn.keys() and all(torch.equal(kept[name], drawn[name]) for name in drawn)


def test_twin_sees_pictures_made_ready_alike_and_is_made_once(tmp_path):
    model = write_encoder(tmp_path / "model", "dinov2")
    twin = untrained_twin(str(model), tmp_path, 0)
    one, other = load(model), load(twin)
    assert one.preparation == other.preparation and one.views == other.views
    clip = noise_clip(0)
    assert np.abs(one.embed([clip], 4.0)["cls"] - other.embed([clip], 4.0)["cls"]).max() > 0.01
    assert untrained_twin(str(model), tmp_path, 0) == twin and untrained_twin(str(model), tmp_path, 1) != twin
    path = model / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_mean": [0.1] * 3}))
    assert untrained_twin(str(model), tmp_path, 0) != twin
