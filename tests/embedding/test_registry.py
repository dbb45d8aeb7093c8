"""Every embedder of the registry is whole, and the page for users names what it embeds with."""

from pathlib import Path

import pytest
from transformers import CONFIG_MAPPING

from mbrepro.embedding import EMBEDDERS, EmbedderSettings, check_embedder, embedder_class
from mbrepro.embedding.checkpoint import CheckpointEmbedder
from mbrepro.embedding.embedder import CONTROLS
from mbrepro.embedding.encoders import EncoderEmbedder
from mbrepro.embedding.pictures import ASSUMED
from tests.fixtures.tiny_checkpoint import write_checkpoint

RERUN = (Path(__file__).parents[2] / "book" / "rerun.md").read_text(encoding="utf-8")


def config_folder(folder: Path, kind: str) -> str:
    """A folder that holds nothing but a configuration of a kind."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(f'{{"model_type": "{kind}"}}')
    return str(folder)


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_every_kind_has_a_class_that_brings_all_of_it(tmp_path, kind):
    control = kind in CONTROLS
    found = embedder_class(kind if control else config_folder(tmp_path / "model", kind))
    assert f"{found.__module__.rpartition('.')[2]}.{found.__name__}" == EMBEDDERS[kind]
    assert found.takes in ("pixels", "poses") and callable(found.check) and callable(found.cost)
    assert hasattr(found, "embed_poses" if found.takes == "poses" else "embed")
    assert control or (issubclass(found, CheckpointEmbedder) and kind in CONFIG_MAPPING)
    if issubclass(found, EncoderEmbedder):
        assert kind.removesuffix("_vision_model") in ASSUMED


def test_page_for_users_names_every_kind():
    page = RERUN.lower().replace("-", "").replace(" ", "").replace(".", "")
    for kind in EMBEDDERS:
        assert kind.removesuffix("_vision_model").removesuffix("_vit").replace("_", "").removesuffix("2") in page, kind


def test_controls_and_whole_checkpoints_pass_the_check(tmp_path):
    for control in CONTROLS:
        check_embedder(EmbedderSettings(control))
    check_embedder(EmbedderSettings(str(write_checkpoint(tmp_path))))
