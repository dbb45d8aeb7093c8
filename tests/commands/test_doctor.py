"""What the machine has, and each lack in one sentence."""

from collections import namedtuple

from mbrepro import cli
from mbrepro.commands import doctor

Usage = namedtuple("Usage", "total used free")


def test_doctor_lists_the_machine_and_finds_no_fault(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path / "not" / "yet" / "there"))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: Usage(1, 1, 6e9) if folder.exists() else None)
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    for said in ("python", "cores", "gpu", "scikit-learn", "h264", f"6.0 at {tmp_path / 'not' / 'yet' / 'there'}"):
        assert said in out


def test_lacks_are_told_and_forbid_going_on(capsys, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: Usage(1, 1, 1e9))
    monkeypatch.setattr(doctor, "CODECS", ("h264", "telepathy"))
    assert cli.main(["doctor"]) == 2
    errors = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3 and "telepathy video cannot be decoded" in errors[0] and "1.0 GB are free" in errors[1]
