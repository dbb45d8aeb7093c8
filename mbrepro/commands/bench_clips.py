"""Speed of stage 2: embedding against the bare model, decoding against what must be decoded, rendering."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import torch
from tqdm import tqdm

from mbrepro.data.clips import ClipSettings, clip_frames, cut_clips, sampled_rate
from mbrepro.data.recordings import Recording
from mbrepro.data.video import iter_frames, probe, write_video
from mbrepro.demo.simulated import DemoSettings, extra_recordings, simulate_recording
from mbrepro.demo.simulated.cage import draw_look
from mbrepro.demo.simulated.frames import render
from mbrepro.embedding import cost, load_embedder
from mbrepro.embedding.embedder import STAND_IN, EmbedderSettings
from mbrepro.embedding.qwen import QwenVLEmbedder, clip_tflop
from mbrepro.embedding.standin import STAND_IN_PIXELS

SHOWN = ClipSettings(seconds=2.0, sampled_fps=8.0, crop="mice")  # the corrected protocol's clips
LARGE = ClipSettings(seconds=2.0, sampled_fps=8.0, crop="mice", crop_pixels=224)
PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}  # bf16 without sparsity, NVIDIA's data sheets


def embed_loop(clips: int = 64, repetitions: int = 5) -> dict:
    """Seconds of embedding clips with the stand-in (ours) against the bare forward pass on the packed inputs (theirs).

    The loop packs each batch, runs the model with every view pooled, and gathers the rows; the bare pass has all inputs
    packed before it. Medians of alternating repetitions. With a CUDA device, also Qwen2.5-VL-3B's shape with random
    weights in bf16: clips a second, and which share of the device's bf16 peak they use.
    """
    embedder = load_embedder(EmbedderSettings(model=STAND_IN, max_pixels=STAND_IN_PIXELS, batch_size=8))
    figures = _loop_against_forward(embedder, random_clips(clips, SHOWN), repetitions)
    if torch.cuda.is_available():
        figures["cuda"] = large_model(repetitions)
    return figures


def _loop_against_forward(embedder: QwenVLEmbedder, clips: Sequence[np.ndarray], repetitions: int) -> dict:
    fps, size = sampled_rate(SHOWN, len(clips[0])), embedder.settings.batch_size
    packed = [embedder.prepare(clips[first : first + size], fps) for first in range(0, len(clips), size)]
    base = embedder.model.model

    @torch.inference_mode()
    def bare() -> None:
        for inputs in packed:
            base(**inputs, use_cache=False).last_hidden_state.cpu()

    ours, theirs = _alternate(lambda: embedder.embed(clips, fps), bare, repetitions, "embed_loop")
    return {
        "over_bare": ours / theirs,
        "ratio": theirs / ours,
        "ours_s": ours,
        "theirs_s": theirs,
        "clips": len(clips),
        "clips_per_s": len(clips) / ours,
        "torch_threads": torch.get_num_threads(),
    }


def large_model(repetitions: int, clips: int = 32, batch_size: int = 8) -> dict:
    """As `embed_loop`, on a CUDA device with a random model of Qwen2.5-VL-3B's shape in bf16; one H100 needs 8 GB."""
    with tempfile.TemporaryDirectory() as folder:
        embedder = random_embedder(Path(folder), batch_size)
        shown = random_clips(clips, LARGE)
        figures = _loop_against_forward(embedder, shown, repetitions)
        tokens = int(embedder.prepare(shown[:1], 8.0)["video_grid_thw"].prod()) // embedder.layout.merge**2
        config = embedder.config
    reached = figures["clips_per_s"] * clip_tflop(config, tokens)
    name = torch.cuda.get_device_name()
    peaks = [peak for known, peak in PEAK_TFLOPS.items() if known in name]
    measured = cost.measured_tflops("cuda", torch.bfloat16, side=8192)
    told = {"device": name, "tokens_per_clip": tokens, "tflops": reached, "share_of_matmul": reached / measured}
    return figures | told | ({"share_of_peak": reached / peaks[0]} if peaks else {})


def random_embedder(folder: Path, batch_size: int, device: str = "cuda", dtype: str = "bfloat16", **smaller: int):
    """An embedder of Qwen2.5-VL-3B's shape whose weights are random, with the stand-in's tokenizer.

    smaller: values in place of the text model's own, such as num_hidden_layers, for a trial on a small machine.
    """
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    from mbrepro.demo.standin.model import special_ids
    from mbrepro.embedding import checkpoint
    from mbrepro.embedding.checkpoint import save_checkpoint
    from mbrepro.embedding.standin import STAND_IN_WEIGHTS

    tokenizer = checkpoint.load_tokenizer(STAND_IN_WEIGHTS)
    text = {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
            "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}}  # fmt: skip
    vision = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048,
              "fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112, "tokens_per_second": 2}  # fmt: skip
    if smaller:
        text |= smaller
        vision |= {"depth": 2, "fullatt_block_indexes": [1]}
    known = special_ids(tokenizer)
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **known)
    torch.manual_seed(0)
    with torch.device(device):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=getattr(torch, dtype))
    save_checkpoint(model, tokenizer, folder)
    del model
    return load_embedder(
        EmbedderSettings(str(folder), max_pixels=224 * 224, dtype=dtype, device=device, batch_size=batch_size)
    )


def random_clips(count: int, settings: ClipSettings) -> list[np.ndarray]:
    """Clips of noise, (F, side, side, 3) uint8, of the shape that the settings cut."""
    rng, frames = np.random.default_rng(0), round(settings.seconds * settings.sampled_fps)
    side = settings.crop_pixels
    return [rng.integers(0, 256, (frames, side, side, 3), dtype=np.uint8) for _ in range(count)]


def decode(seconds: float = 40.0, clips: int = 30, repetitions: int = 5) -> dict:
    """Seconds of decoding overlapping clips (ours) against decoding only the groups of pictures they need (theirs).

    1024 x 570 px at 30 frames a second with a keyframe every 30, the corrected protocol's clips from random frames on.
    Theirs seeks to the first group of each gapless stretch of needed groups and decodes up to the last frame needed of
    it, turning what is needed into RGB. `cropped_too_s` is what `cut_clips` takes, squares cut and resized.
    """
    with tempfile.TemporaryDirectory() as folder:
        recording = filmed(Path(folder) / "bench.mp4", seconds, (1024, 570))
        starts = np.sort(np.random.default_rng(0).integers(0, len(recording) - 60, clips)).tolist()
        wanted = np.unique(np.concatenate([clip_frames(start, recording, SHOWN) for start in starts]))
        ours, theirs = _alternate(
            lambda: [None for _ in iter_frames(recording.video, wanted)],
            lambda: decode_groups(recording.video, wanted),
            repetitions,
            "decode",
        )
        cutting = _seconds(lambda: cut_clips(recording, starts, SHOWN))
    return {
        "over_needed": ours / theirs,
        "ratio": theirs / ours,
        "ours_s": ours,
        "theirs_s": theirs,
        "frames": len(wanted),
        "clips": clips,
        "cropped_too_s": cutting,
    }


def decode_groups(path: Path, wanted: np.ndarray) -> int:
    """Decode the groups of pictures that hold the wanted frames and nothing else; returns how many frames came out."""
    info, came = probe(path), 0
    group_of = np.searchsorted(info.keyframes, wanted, side="right") - 1
    stretches = np.split(wanted, np.flatnonzero(np.diff(group_of) > 1) + 1)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for stretch in stretches:
            keyframe = info.keyframes[np.searchsorted(info.keyframes, stretch[0], side="right") - 1]
            container.seek(int(info.pts[keyframe]), stream=stream)
            needed, last = set(info.pts[stretch].tolist()), int(info.pts[stretch[-1]])
            for frame in container.decode(stream):
                if frame.pts in needed:
                    frame.to_ndarray(format="rgb24")
                    came += 1
                if frame.pts >= last:
                    break
    return came


def render_speed(frames: int = 600, repetitions: int = 3, films: int = 6, film_s: float = 60.0) -> dict:
    """Frames of the demo a second: drawn on one thread, and simulated, drawn, encoded and written by two processes.

    The first is a median of repetitions. The second is the making of `films` recordings of `film_s` seconds as the
    demo makes them, with the start of the processes in it.
    """
    size = DemoSettings().video_size
    _, poses = simulate_recording("task1", "mouse900_task1_annotator1", DemoSettings(seconds=frames / 30))
    look = draw_look(np.random.default_rng(0))
    times = [_seconds(lambda: [None for _ in render(poses, look, size)]) for _ in range(repetitions)]
    with tempfile.TemporaryDirectory() as folder:
        filming = _seconds(lambda: extra_recordings("task1", films, DemoSettings(seconds=film_s), Path(folder)))
    return {
        "frames_per_s": len(poses) / float(np.median(times)),
        "written_frames_per_s": films * film_s * 30 / filming,
        "frames": len(poses),
        "size": list(size),
    }


def filmed(path: Path, seconds: float, size: tuple[int, int]) -> Recording:
    """A simulated recording and its video at a size in px (width, height)."""
    recording, poses = simulate_recording("task1", "mouse900_task1_annotator1", DemoSettings(seconds=seconds))
    write_video(path, render(poses, draw_look(np.random.default_rng(0)), size), 30.0, *size, gop=30)
    return Recording(recording.name, recording.keypoints, recording.classes, recording.labels, video=path)


def _alternate(ours: Callable, theirs: Callable, repetitions: int, name: str) -> tuple[float, float]:
    """Median seconds of both, run in turn so that a busy machine slows both alike, after one run of each to warm up."""
    ours(), theirs()
    seconds = [(_seconds(ours), _seconds(theirs)) for _ in tqdm(range(repetitions), desc=name, disable=None)]
    return tuple(float(value) for value in np.median(seconds, axis=0))


def _seconds(work: Callable) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
