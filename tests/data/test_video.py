import itertools
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbrepro.data import video
from mbrepro.data.recordings import Recording
from mbrepro.data.video import check_video, decode_frames, iter_frames, probe, promised_frames, write_video
from mbrepro.errors import InputError
from tests.fixtures.coded_video import HEIGHT, WIDTH, coded_frames, encode, read_codes


def decode_all(path: Path) -> np.ndarray:
    """The simplest decoder: every frame, one after the other."""
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


@pytest.fixture(scope="module", params=[10, 30, 250])
def with_b_frames(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / f"gop{request.param}.mp4"
    encode(path, 300, options={"g": str(request.param), "bf": "3", "sc_threshold": "0"})
    return path, decode_all(path)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(indices=st.lists(st.integers(0, 299), max_size=8))
def test_decoded_frames_are_those_of_sequential_decoding(with_b_frames, indices):
    path, every = with_b_frames
    np.testing.assert_array_equal(decode_frames(path, indices), every[indices])


def test_b_frames_are_counted_and_timed_in_display_order(with_b_frames):
    path, every = with_b_frames
    info = probe(path)
    with av.open(str(path)) as file:
        stored = [packet.pts for packet in file.demux(file.streams.video[0]) if packet.size]
    assert stored != sorted(stored), "the made video has no B-frames, so this test would show nothing"
    assert info.frames == 300 and (info.width, info.height) == (WIDTH, HEIGHT)
    np.testing.assert_allclose(info.times, np.arange(300) / 30)
    assert info.fps == 30.0
    assert read_codes(every) == list(range(300))


def test_real_video_decodes_as_sequentially(real_data):
    path = next((real_data / "mabe22_video").glob("*.mp4"))
    info = probe(path)
    assert (info.frames, info.fps, info.width, info.height) == (1801, 30.0, 512, 512)
    wanted = [1800, 3, 700, 701, 249, 250, 1799, 3]
    with av.open(str(path)) as file:
        every = enumerate(file.decode(video=0))
        shown = {index: frame.to_ndarray(format="rgb24") for index, frame in every if index in wanted}
    np.testing.assert_array_equal(decode_frames(path, wanted), [shown[index] for index in wanted])


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("start.mp4", {"pts": lambda index: index + 90}),
        ("start.mkv", {"pts": lambda index: index + 90, "options": {"bf": "2"}}),
        ("open_gop.mp4", {"options": {"x264-params": "open-gop=1:keyint=20:bframes=3:scenecut=0"}}),
        ("refresh.mp4", {"options": {"x264-params": "intra-refresh=1:keyint=20"}}),
        ("fragments.mp4", {"container": {"movflags": "frag_keyframe+empty_moov"}}),
        ("stream.ts", {"options": {"bf": "2"}}),
        ("mpeg4.avi", {"codec": "mpeg4"}),
        ("mjpeg.avi", {"codec": "mjpeg"}),
        ("b_frames.avi", {"options": {"bf": "3", "g": "40"}}),
        ("b_frames_of_mpeg4.avi", {"codec": "mpeg4", "options": {"bf": "2", "g": "40"}}),
    ],
)
def test_unusual_files_still_give_the_frame_asked_for(tmp_path, name, how):
    path = encode(tmp_path / name, 150, **how)
    assert probe(path).frames == 150
    np.testing.assert_allclose(probe(path).times, np.arange(150) / 30, atol=0.0011)  # matroska's clock ticks in ms
    wanted = [149, 0, 77, 78, 20, 101]
    assert read_codes(decode_frames(path, wanted)) == wanted


def test_variable_frame_rate_keeps_true_times(tmp_path):
    gaps = np.array([3, 3, 9, 1, 2] * 12)
    ticks = np.r_[0, np.cumsum(gaps)[:-1]]
    path = encode(tmp_path / "vfr.mp4", 60, clock=90, pts=lambda index: int(ticks[index]), options={"bf": "2"})
    np.testing.assert_allclose(probe(path).times, ticks / 90)
    assert probe(path).fps == pytest.approx(59 / (ticks[-1] / 90))
    assert read_codes(decode_frames(path, [59, 31, 2])) == [59, 31, 2]


def test_avi_with_b_frames_is_read_in_the_order_of_display(tmp_path):
    """AVI holds no display times: libav's packets pretend that frames are shown in the order in which they decode."""
    path = encode(tmp_path / "b.avi", 120, options={"bf": "3", "g": "40", "sc_threshold": "0"})
    with av.open(str(path)) as file:
        told = [frame.pts for frame in file.decode(video=0)]
    assert told != sorted(told), "the display times are right, so this test would show nothing"
    info = probe(path)
    assert info.counted and (info.frames, info.fps) == (120, 30.0)
    np.testing.assert_allclose(info.times, np.arange(120) / 30)
    assert read_codes(decode_frames(path, range(120))) == list(range(120))


def test_chunks_without_a_picture_are_no_frames_but_take_their_time(tmp_path):
    """An AVI writer leaves an empty chunk where the camera dropped a frame."""
    path = encode(tmp_path / "dropped.avi", 60, codec="mjpeg", pts=lambda index: index + (index >= 20) * 5)
    with av.open(str(path)) as file:
        assert file.streams.video[0].frames == 65
    assert probe(path).frames == 60
    np.testing.assert_allclose(probe(path).times, (np.arange(60) + 5 * (np.arange(60) >= 20)) / 30)
    assert read_codes(decode_frames(path, [19, 20, 59])) == [19, 20, 59]


def _promising(path, frames):
    """Write another number of frames into an AVI's headers: of the file, at byte 48, and of the stream."""
    data = bytearray(path.read_bytes())
    for place in (48, data.index(b"strh") + 8 + 32):
        data[place : place + 4] = frames.to_bytes(4, "little")
    path.write_bytes(data)


def test_avi_header_that_promises_too_much_is_told_from_a_file_that_was_cut(tmp_path):
    path = encode(tmp_path / "a.avi", 60, codec="mjpeg")
    assert (probe(path).frames, probe(path).promised) == (60, 60)
    _promising(path, 85)
    assert (probe(path).frames, probe(path).promised) == (60, 85)
    assert read_codes(decode_frames(path, [59])) == [59]
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"a\.avi: the video is truncated: \d+ of its 85 frames are there"):
        probe(path)


def turned(path, matrix):
    """A video whose mp4 header is given another display matrix, a b u c d v x y w (ISO/IEC 14496-12, 8.3.2)."""
    data, plain = encode(path, 20).read_bytes(), struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    track = data.index(b"tkhd")
    at = data.index(plain, track)
    a, b, c, d = (round(value * (1 << 16)) for value in matrix)
    path.write_bytes(data[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[at + 36 :])
    return path


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda picture: picture),
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),  # a phone held upright: clockwise
        ((0, -1, 1, 0), lambda picture: np.rot90(picture)),
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((-1, 0, 0, 1), np.fliplr),
        ((0, 1, 1, 0), lambda picture: picture.swapaxes(0, 1)),
    ],
)
def test_pictures_are_turned_and_mirrored_as_players_do(tmp_path, matrix, shown):
    stored = decode_all(encode(tmp_path / "plain.mp4", 20))
    path = turned(tmp_path / "a.mp4", matrix)
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        assert matrix[0] or frame.rotation  # libav sees it too
    expected = shown(stored[7])
    assert (probe(path).height, probe(path).width) == expected.shape[:2]
    np.testing.assert_array_equal(decode_frames(path, [7])[0], expected)


def test_video_turned_by_another_angle_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.mp4: the video is to be turned by no right angle; convert it"):
        probe(turned(tmp_path / "a.mp4", (0.7, 0.7, -0.7, 0.7)))


def test_raw_stream_without_a_clock_is_asked_for_its_rate(tmp_path):
    with pytest.raises(
        InputError, match=r"pi\.h264: .* for 30 frames per second with `ffmpeg -r 30 -i pi.h264 pi.mp4`"
    ):
        probe(encode(tmp_path / "pi.h264"))


@pytest.mark.parametrize(
    ("name", "first", "count"),
    [
        ("17-video-rotated/phone.mp4", 0, 600), ("19-avi-without-pts/x264.avi", 0, 300),
        ("20-video-vfr/webcam.mp4", 0, 600), ("21-avi-header-count/promises_340.avi", 0, 300),
        ("32-trimmed-start/clip.mp4", 24, 576),
    ],
)  # fmt: skip
def test_video_cases_show_the_ordinary_videos_frames(cases, name, first, count):
    """A frame is nearer to its own than to those .2 s away, in grey levels after another coding."""
    ordinary = cases / "base" / "base600.mp4"
    info = probe(cases / name)
    assert (info.frames, info.width, info.height) == (count, 512, 286)
    wanted = np.array([6, 64, 65, 150, 287])
    shown = decode_frames(info.path, wanted).astype(int)
    off = [
        np.abs(decode_frames(ordinary, wanted + first + by).astype(int) - shown).mean((1, 2, 3)) for by in (0, -6, 6)
    ]
    assert (off[0] < np.minimum(off[1], off[2])).all() and off[0].max() < 10  # turned wrongly: 46


def test_video_cases_keep_their_own_times(cases):
    webcam = probe(cases / "20-video-vfr" / "webcam.mp4")
    assert webcam.times[299] == pytest.approx(9.967, abs=5e-4) and webcam.times[-1] == pytest.approx(29.933, abs=5e-4)
    assert probe(cases / "21-avi-header-count" / "promises_340.avi").promised == 340
    for name in ("raw", "pi"):
        with pytest.raises(InputError, match=f"ffmpeg -r 30 -i {name}.h264 {name}.mp4"):
            probe(cases / "22-picamera-h264" / f"{name}.h264")


def test_frames_hidden_by_an_edit_list_are_not_counted(tmp_path):
    source, path = encode(tmp_path / "source.mp4", 60, options={"g": "30", "bf": "2"}), tmp_path / "edited.mp4"
    edits = {"use_editlist": "1", "avoid_negative_ts": "disabled"}
    with av.open(str(source)) as old, av.open(str(path), "w", options=edits) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        ticks = int(1 / 30 / old.streams.video[0].time_base)
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts = packet.pts - 15 * ticks, packet.dts - 15 * ticks
                packet.stream = stream
                new.mux(packet)
    assert probe(path).frames == len(decode_all(path)) == 45
    assert read_codes(decode_frames(path, [0, 44, 10])) == [15, 59, 25]


def test_each_frame_is_decoded_once_and_seeks_only_cross_long_gaps(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, coded_frames(200), 30, WIDTH, HEIGHT, gop=10)
    info = probe(path)
    assert [index for index, _ in iter_frames(path, [7, 3, 7, 150, 3])] == [3, 7, 150]
    near = np.arange(0, 200, video.SEEK_FRAMES)
    assert video._passes(info, near) == [(0, near.tolist())]
    assert video._passes(info, np.array([5, 18, 164, 199])) == [(0, [5, 18]), (160, [164]), (190, [199])]


@pytest.mark.parametrize("index", [-1, 60])
def test_frame_outside_the_video_is_refused_by_name(tmp_path, index):
    path = encode(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=rf"a\.mp4: frame {index} .* 0 to 59"):
        decode_frames(path, [3, index])


def test_empty_request_gives_no_frames(tmp_path):
    assert decode_frames(encode(tmp_path / "a.mp4"), []).shape == (0, HEIGHT, WIDTH, 3)


def _cut_in_half(path):
    encode(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _last_frame_missing(path):
    encode(path, container={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[:-1])


def _audio_only(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
        file.mux(stream.encode())


def _unknown_codec(path):
    encode(path)
    path.write_bytes(path.read_bytes().replace(b"avc1\0", b"zzz9\0"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_cut_in_half, "not a whole, readable video"),
        (_last_frame_missing, "truncated: 59 of its 60 frames"),
        (_unknown_codec, "codec is unknown"),
        (_audio_only, "no video stream"),
        (lambda path: path.write_text("a text\n" * 99), "not a whole, readable video"),
        (lambda path: path.write_bytes(b""), "not a whole, readable video"),
        (lambda path: path.mkdir(), "not a whole, readable video"),
        (lambda path: None, "no such video file"),
    ],
)
def test_unusable_file_is_refused_in_one_sentence(tmp_path, make, words):
    path = tmp_path / "bad.mp4"
    make(path)
    with pytest.raises(InputError, match=words) as caught:
        probe(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_overwritten_frames_are_refused_and_frames_before_them_are_not(tmp_path):
    path = encode(tmp_path / "a.mp4", 120, options={"g": "30", "sc_threshold": "0"})
    whole, data = decode_all(path), bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(file.streams.video[0]) if packet.size]
    data[packets[30].pos : packets[33].pos] = bytes(packets[33].pos - packets[30].pos)
    path.write_bytes(data)
    np.testing.assert_array_equal(decode_frames(path, range(20)), whole[:20])
    for lost in (30, 45):  # frame 45 is there, but was predicted from what is not
        with pytest.raises(InputError, match=rf"a\.mp4: frame {lost} cannot be decoded"):
            decode_frames(path, [2, lost])
    assert read_codes(decode_frames(path, [60, 100])) == [60, 100]


def _marked_corrupt(path):
    try:
        with av.open(str(path)) as file:
            return [index for index, frame in enumerate(file.decode(video=0)) if frame.is_corrupt]
    except av.FFmpegError:
        return []


def test_frames_predicted_from_a_damaged_one_are_refused(tmp_path):
    path = encode(tmp_path / "a.mp4", 90, options={"g": "30", "bf": "0", "sc_threshold": "0"})
    whole = path.read_bytes()
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(file.streams.video[0]) if packet.size]
    cases = 0
    for damaged, seed in itertools.product((35, 40), range(10)):
        data, at = bytearray(whole), packets[damaged].pos + packets[damaged].size // 2
        data[at : at + 8] = np.random.default_rng(seed).bytes(8)
        path.write_bytes(data)
        if _marked_corrupt(path) == [damaged]:  # the decoder hides some damage altogether
            cases += 1
            with pytest.raises(InputError, match="frame 50 cannot be decoded"):
                decode_frames(path, [50])
            assert read_codes(decode_frames(path, [10, 70])) == [10, 70]
    assert cases, "no damage was marked, so this test showed nothing"


def test_probe_notices_that_a_file_changed(tmp_path):
    path = encode(tmp_path / "a.mp4", 20)
    assert probe(path).frames == 20
    encode(path, 35)
    assert probe(path).frames == promised_frames(path) == 35


def _recording(frames, fps=30.0, path=None):
    return Recording("mouse001_x", np.ones((frames, 2, 7, 2)), fps=fps, video=path)


def test_check_video_compares_frames_and_rate_with_the_recording(tmp_path):
    path = encode(tmp_path / "a.mp4", 60)
    assert check_video(_recording(59, path=path)).frames == 60
    with pytest.raises(InputError, match="60 frames, but mouse001_x has 61"):
        check_video(_recording(61, path=path))
    with pytest.raises(InputError, match=r"30\.00 frames per second, but mouse001_x at 25\.00"):
        check_video(_recording(60, fps=25.0, path=path))
    with pytest.raises(InputError, match="mouse001_x: the recording has no video"):
        check_video(_recording(60))


def test_written_video_has_the_same_bytes_each_time_and_shows_its_frames(tmp_path):
    paths = [tmp_path / "a.mp4", tmp_path / "b" / "c.mp4"]
    for path in paths:
        write_video(path, coded_frames(50), 25, WIDTH, HEIGHT, gop=10)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    info = probe(paths[0])
    assert (info.frames, info.fps) == (50, 25.0)
    assert np.diff(info.keyframes).max() <= 10
    frames = decode_frames(paths[0], range(50))
    assert read_codes(frames) == list(range(50))
    assert np.abs(frames.astype(int) - np.stack(list(coded_frames(50)))).mean() < 6


def test_lower_crf_is_closer_to_the_frames(tmp_path):
    noise = [np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 1), np.uint8).repeat(3, 2)] * 3
    errors = []
    for crf in (5, 40):
        write_video(tmp_path / "a.mp4", noise, 30, WIDTH, HEIGHT, crf=crf)
        errors.append(np.abs(decode_frames(tmp_path / "a.mp4", range(3)).astype(int) - noise[0]).mean())
    assert errors[0] * 2 < errors[1]


@pytest.mark.parametrize(
    ("frames", "size", "words"),
    [
        ([np.zeros((64, 95, 3), np.uint8)], (95, 64), "even width and height, not 95x64"),
        ([np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.uint8)], (96, 64), "frame 1 is uint8"),
        ([np.zeros((64, 96, 3))], (96, 64), "frame 0 is float64"),
        ([], (96, 64), "at least one frame"),
    ],
)
def test_unwritable_frames_are_refused_and_leave_nothing(tmp_path, frames, size, words):
    with pytest.raises(InputError, match=words):
        write_video(tmp_path / "a.mp4", frames, 30, *size)
    assert list(tmp_path.iterdir()) == []


def test_grey_video_is_read_as_rgb(tmp_path):
    path = tmp_path / "grey.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray"
        for value in (10, 200):
            pixels = np.full((HEIGHT, WIDTH), value, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="gray")))
        file.mux(stream.encode())
    frames = decode_frames(path, [1, 0])
    assert frames.shape == (2, HEIGHT, WIDTH, 3)
    assert np.abs(frames.mean((1, 2, 3)) - [200, 10]).max() < 2
