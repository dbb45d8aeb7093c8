"""Work side by side: results in order, no worker outlives its parent, a killed worker is one sentence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mbrepro.data.processes import shared_out, side_by_side
from mbrepro.errors import InputError
from tests.fixtures.processes import gone, note_and_sleep


def square(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(folder: Path) -> None:
    while not any(folder.iterdir()):
        time.sleep(0.05)
    raise InputError("no")


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def test_results_come_in_the_jobs_order_from_other_processes():
    results = side_by_side([(square, number) for number in range(5)], "square", "number")
    assert [number for number, _ in results] == [0, 1, 4, 9, 16]
    assert os.getpid() not in {pid for _, pid in results}


def test_a_single_job_needs_no_other_process():
    assert side_by_side([(square, 3)], "square", "number") == [(9, os.getpid())]
    assert side_by_side([], "square", "number") == []


def test_a_killed_worker_is_said_in_one_sentence():
    with pytest.raises(InputError, match="a worker process was killed, most likely because memory ran out"):
        side_by_side([(killed,), (square, 1)], "kill", "job")


def test_workers_that_stay_do_what_is_asked_in_order_and_others_come_after_one_was_killed():
    first = list(shared_out(square, range(9), 2))
    assert [number for number, _ in first] == [k**2 for k in range(9)]
    used = {pid for _, pid in first}
    assert os.getpid() not in used and len({pid for _, pid in shared_out(square, range(9), 2)} | used) <= 2
    with pytest.raises(InputError, match="a worker process was killed"):
        list(shared_out(killed, [1], 2))
    again = list(shared_out(square, range(9), 2))
    assert [number for number, _ in again] == [k**2 for k in range(9)] and not {pid for _, pid in again} & used


def test_jobs_go_to_workers_that_stay_where_that_is_asked_and_others_come_after_a_failure(tmp_path):
    jobs = [(square, number) for number in range(9)]
    first, second = (side_by_side(jobs, "square", "number", stay=True) for _ in range(2))
    used = {pid for _, pid in first + second}
    assert [number for number, _ in second] == [k**2 for k in range(9)]
    assert os.getpid() not in used and len(used) <= 2
    with pytest.raises(InputError, match="no"):
        side_by_side([(note_and_sleep, tmp_path), (refuse, tmp_path)], "fail", "job", stay=True)
    assert gone([int(path.name) for path in tmp_path.iterdir()])
    third = side_by_side(jobs, "square", "number", stay=True)
    assert [number for number, _ in third] == [k**2 for k in range(9)] and not {pid for _, pid in third} & used


def test_a_failed_job_stops_the_others_at_once(tmp_path):
    began = time.monotonic()
    with pytest.raises(InputError, match="no"):
        side_by_side([(note_and_sleep, tmp_path), (refuse, tmp_path)], "fail", "job")
    assert time.monotonic() - began < 100
    assert gone([int(path.name) for path in tmp_path.iterdir()])


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path, kill):
    code = (
        "import os; os.cpu_count = lambda: 2\n"
        "from pathlib import Path\nfrom mbrepro.data.processes import side_by_side\n"
        "from tests.fixtures.processes import note_and_sleep\n"
        f"if __name__ == '__main__': side_by_side([(note_and_sleep, Path({str(tmp_path)!r}))] * 2, 'sleep', 'job')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while len(list(tmp_path.iterdir())) < 2:
        assert parent.poll() is None
        time.sleep(0.1)
    parent.send_signal(kill)
    parent.wait(timeout=20)
    assert gone([int(path.name) for path in tmp_path.iterdir()])
