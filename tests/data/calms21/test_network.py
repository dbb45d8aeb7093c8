"""Fetching the official network from a local server and from folders, and finding it."""

import hashlib
import shutil
from dataclasses import replace

import pytest

from mbrepro import cli
from mbrepro.data.calms21 import download, network
from mbrepro.data.calms21.network import fetch_network, find_network, published_network
from mbrepro.errors import InputError
from tests.fixtures import mirror
from tests.fixtures.mirror import Cut, IgnoreRange, Status, Truncated, Wrong

NAME = "task1_seed_42_model.h5"
CONTENT = bytes(range(256)) * 4000
PUBLISHED = published_network()


@pytest.fixture(autouse=True)
def made(monkeypatch, tmp_path):
    """A file of our own in place of the published one, nothing fetched yet and no real data."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    info = replace(PUBLISHED, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(), notice="Cite nobody.")
    monkeypatch.setattr(network, "published_network", lambda: info)
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path / "study"))
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(tmp_path / "none"))
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 1.0)
    return folder


@pytest.fixture
def server(made):
    with mirror.serve(made) as running:
        yield running


def test_what_is_published_is_pinned_to_a_commit():
    assert PUBLISHED.name == NAME and PUBLISHED.url.endswith(f"/demo/models/{NAME}")
    assert "/BelloneLab/BANOS/83a1c339b531715a10d45f7206d9e150cdcbe959/" in PUBLISHED.url
    assert PUBLISHED.url.startswith("https://") and len(PUBLISHED.sha256) == 64
    assert "MIT" in PUBLISHED.notice and "Sun et al. 2021" in PUBLISHED.notice


def test_published_size_and_sha256_are_the_files(real_data):
    content = (real_data / "official_baseline" / NAME).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (PUBLISHED.size, PUBLISHED.sha256)


def test_it_is_fetched_once(server, tmp_path, capsys):
    path = fetch_network(server.url)
    assert path == tmp_path / "data" / "official" / NAME and path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == [NAME]
    assert server.sent[NAME] <= len(CONTENT) + 1  # each byte once, and one to ask for the size
    assert capsys.readouterr().out == "Cite nobody.\n"
    asked = server.requests.total()
    assert fetch_network(f"{server.url}/") == find_network() == path
    assert server.requests.total() == asked and "nothing was fetched" in capsys.readouterr().out


def test_it_comes_from_its_published_address(server, monkeypatch):
    there = replace(network.published_network(), url=f"{server.url}/{NAME}")
    monkeypatch.setattr(network, "published_network", lambda: there)
    assert fetch_network().read_bytes() == CONTENT


def test_a_cut_connection_goes_on_and_a_later_call_too(server):
    server.misbehave(NAME, Cut(300_000), Cut(700_000), Status(503))
    server.misbehave(NAME, Cut(900_000), always=True)
    with pytest.raises(InputError, match=r"brings nothing more .*; what was fetched is kept, and the same command"):
        fetch_network(server.url)
    assert 900_000 <= server.sent[NAME] < len(CONTENT)
    server.behave()
    assert fetch_network(server.url).read_bytes() == CONTENT
    assert server.sent[NAME] <= len(CONTENT) + 2  # a byte to ask for the size, twice


def test_a_server_without_ranges_will_do(server):
    server.misbehave(NAME, IgnoreRange(), always=True)
    assert fetch_network(server.url).read_bytes() == CONTENT


def test_wrong_bytes_are_thrown_away(server, tmp_path):
    server.misbehave(NAME, Wrong(1234))
    with pytest.raises(InputError, match=rf"{server.url}/{NAME}: not the published network \(its SHA-256 differs\)"):
        fetch_network(server.url)
    assert list((tmp_path / "data" / "official").iterdir()) == []
    assert fetch_network(server.url).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Status(404), r"no such file \(404\)"), (Status(403), "answers 403"),
        (Truncated(999), "not the released file, as it has 999 bytes and not 1,024,000"),
    ],
)  # fmt: skip
def test_a_server_that_has_something_else(server, tmp_path, fault, message):
    server.misbehave(NAME, fault, always=True)
    with pytest.raises(InputError, match=rf"{server.url}/{NAME}: .*{message}"):
        fetch_network(server.url)
    assert not list((tmp_path / "data" / "official").iterdir())


def test_no_server_is_one_sentence(capsys):
    with mirror.serve(".") as gone:
        url = gone.url
    assert cli.main(["fetch", "official", "--from", url]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"{url}/{NAME}: the server cannot be reached (Connection refused)" in told


def test_a_folder_of_ones_own(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MBREPRO_CALMS21", "/nowhere")  # which is where the data set comes from
    assert cli.main(["fetch", "official", "--from", str(made)]) == 0
    path = tmp_path / "data" / "official" / NAME
    assert capsys.readouterr().out == f"Cite nobody.\n{path}\n"
    shutil.rmtree(made)
    assert path.read_bytes() == CONTENT  # a copy
    path.write_bytes(b"spoilt")
    with pytest.raises(InputError, match=f"{made}/{NAME}: no such file; --from takes a folder"):
        fetch_network(str(made))


def test_a_spoilt_copy_is_fetched_again(made):
    path = fetch_network(str(made))
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InputError, match=f"{path}: not the published network .*; run mbrepro fetch official"):
        find_network()
    assert fetch_network(str(made)).read_bytes() == CONTENT
    assert find_network() == path


def test_without_one_the_command_is_named(tmp_path):
    with pytest.raises(InputError, match=r"network, seed 42 is not in .*official yet: run mbrepro fetch official$"):
        find_network()


def test_a_copy_among_real_data_serves_where_none_was_fetched(made, tmp_path, monkeypatch):
    folder = tmp_path / "real" / "official_baseline"
    shutil.copytree(made, folder)
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(folder.parent))
    assert find_network() == folder / NAME
    fetched = fetch_network(str(made))
    assert find_network() == fetched
    fetched.unlink()
    (folder / NAME).write_bytes(b"another")
    with pytest.raises(InputError, match=rf"{folder}/{NAME}: not the published network"):
        find_network()


def test_options_of_the_data_set_are_refused(capsys):
    for options in (["--videos", "2"], ["--task", "1"]):
        assert cli.main(["fetch", "official", *options]) == 2
        assert "the official network is one file" in capsys.readouterr().err


def test_it_never_lies_in_the_project(made, tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "study" / "data"))
    with pytest.raises(InputError, match="lies inside the project"):
        fetch_network(str(made))
