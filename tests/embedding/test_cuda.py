"""What embedding on a GPU does otherwise, run on the CPU: the values are those of the CPU's and the library's way."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mbrepro.embedding import EmbedderSettings, cuda, load_embedder
from mbrepro.embedding.packing import PatchLayout, pack_clips
from tests.fixtures.tiny_checkpoint import KINDS, noise_clip, write_checkpoint
from tests.fixtures.tiny_encoders import write_qwen3

FPS, PIXELS = 4.0, 196 * 196


@pytest.mark.parametrize("shapes", [[(4, 56, 84)], [(5, 120, 77), (2, 56, 56), (1, 200, 300)]])
@pytest.mark.parametrize("layout", [PatchLayout(), PatchLayout(16, 2, 2, (0.5,) * 3, (0.5,) * 3, 64 * 64)])
def test_packing_gives_the_same_bits(shapes, layout):
    clips = [noise_clip(k, *shape) for k, shape in enumerate(shapes)]
    both = cuda.pack_clips_on("cpu", clips, 112 * 112, layout), pack_clips(clips, 112 * 112, layout)
    for found, expected in zip(*both, strict=True):
        assert found.dtype == expected.dtype and torch.equal(found, expected)


@pytest.mark.parametrize("lengths", [[6, 6, 6], [6, 4, 6, 2, 4], [5], [3, 0, 3], [1, 7]])
def test_attention_stays_within_windows(lengths):
    """Against softmax of the products with everything outside a place's window masked out."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(sum(lengths), 2, 8, dtype=torch.float64).transpose(0, 1)[None] for _ in range(3))
    ends = F.pad(torch.tensor(lengths).cumsum(0), (1, 0)).int()
    found, weights = cuda.attend_by_length(
        None, query, key, value, None, cu_seq_lens_q=ends, max_length_q=max(lengths), scaling=0.3, is_causal=False
    )
    window = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    scores = (0.3 * query @ key.transpose(2, 3)).masked_fill(window[:, None] != window, -torch.inf)
    expected = (scores.softmax(-1) @ value).transpose(1, 2)
    assert weights is None and found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-12


@pytest.mark.parametrize("kind", [*KINDS, "qwen3_vl"])
def test_embeddings_are_those_of_the_cpus_way(tmp_path, kind):
    """Clips of two sizes, windows cut off at the edges and padding among them."""
    folder = write_qwen3(tmp_path) if kind == "qwen3_vl" else write_checkpoint(tmp_path, kind)
    embedder = load_embedder(EmbedderSettings(str(folder), max_pixels=PIXELS, batch_size=3))
    clips = [noise_clip(0, 4, 196, 140), noise_clip(1, 4, 84, 112), noise_clip(2, 3, 196, 140)]
    expected = embedder.embed(clips, FPS)
    asked = []
    embedder.use_gpu()
    at = embedder.model.model.visual.blocks[0].attn.register_forward_hook(lambda *_: asked.append(1))
    found = embedder.embed(clips, FPS)
    at.remove()
    assert asked and embedder.model.model.visual.config._attn_implementation == cuda.ATTENTION
    for view in embedder.views:
        np.testing.assert_allclose(found[view], expected[view], atol=2e-5 * np.abs(expected[view]).max())
    assert embedder.caption(clips[:1], FPS, max_new_tokens=4) == load_embedder(embedder.settings).caption(
        clips[:1], FPS, 4
    )


def test_hidden_layers_filled_up_compute_the_same_and_can_be_cut_back(tmp_path):
    folder = write_checkpoint(tmp_path, "qwen2_5_vl")
    tower = load_embedder(EmbedderSettings(str(folder))).model.model.visual
    mlp, before = tower.blocks[0].mlp, {name: value.clone() for name, value in tower.state_dict().items()}
    rows = torch.randn(5, mlp.gate_proj.in_features, generator=torch.manual_seed(0))
    expected, own = mlp(rows).detach(), mlp.down_proj.in_features
    cuda.widen_hidden(tower, own + 52)
    assert mlp.gate_proj.weight.shape[0] == mlp.up_proj.bias.shape[0] == mlp.down_proj.weight.shape[1] == own + 52
    torch.testing.assert_close(mlp(rows).detach(), expected, rtol=0, atol=1e-6 * expected.abs().max().item())
    cuda.widen_hidden(tower, own)
    assert all(torch.equal(value, before[name]) for name, value in tower.state_dict().items())
