"""What `make mutants` has recorded is of the modules as they are, and a sample of it comes out as well."""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from mbrepro import paths
from mbrepro.commands import provenance
from mbrepro.report import faults
from mbrepro.study import recorded
from tests.fixtures import mutants

LEAST = 0.9


def test_changes_by_hand():
    text = '''"""A text."""
def f(rows: int = 2):
    """Another."""
    check(rows)
    if rows > 0 and not rows[rows:].any():
        return zip(rows, strict=True)
    total = min(rows, key=len) * -1.5
'''
    found = [(m.function, m.line, m.change.partition(" → ")[::2]) for m in mutants.mutants_of("m.py", text)]
    condition = "rows > 0 and (not rows[rows:].any())"
    assert sorted(found) == sorted([
        ("f", 2, ("2", "3")), ("f", 2, ("2", "1")), ("f", 4, ("check(rows)", "pass")),
        ("f", 5, (condition, "rows > 0 or not rows[rows:].any()")), ("f", 5, (condition, f"not ({condition})")),
        ("f", 5, ("rows > 0", "rows >= 0")), ("f", 5, ("0", "1")), ("f", 5, ("0", "-1")),
        ("f", 5, ("not rows[rows:].any()", "rows[rows:].any()")), ("f", 5, ("rows", "rows + 1")),
        ("f", 5, ("rows[rows:].any", "rows[rows:].all")), ("f", 6, ("return zip(rows, strict=True)", "return None")),
        ("f", 7, ("min(rows, key=len) * -1.5", "min(rows, key=len) / -1.5")), ("f", 7, ("min", "max")),
        ("f", 7, ("min(rows, key=len)", "min(rows)")), ("f", 7, ("-1.5", "1.5")), ("f", 7, ("1.5", "3.0")),
        ("f", 7, ("1.5", "0.75")),
    ])  # fmt: skip


def test_the_record_is_of_the_modules_as_they_are_and_enough_were_killed():
    kept = recorded.read(faults.MUTANTS)
    assert kept["figures"].keys() == set(mutants.MODULES)
    reasons = yaml.safe_load(Path(mutants.__file__).with_suffix(".yml").read_text(encoding="utf-8"))
    for module, figures in kept["figures"].items():
        assert figures["sha256"] == mutants.digest(module), f"{module} has changed: run make mutants MODULE={module}"
        explained = {change for changes in reasons.get(module, {}).values() for change in changes}
        assert {re.sub(", line [0-9]+", "", each, count=1) for each in figures["survivors"]} == explained, module
        assert figures["mutants"] == len(mutants.mutants_of(module, mutants.source(module)))
        assert figures["mutants"] - figures["killed"] == len(figures["survivors"])
        assert figures["killed"] >= LEAST * figures["mutants"], module
        assert f"<td>{module}</td><td>{figures['mutants']}</td>" in faults.mutants_table()
    assert recorded.path_of(faults.MUTANTS) not in provenance.shipped()


def test_most_of_a_sample_are_killed():
    count = 60
    words = [sys.executable, "-m", "tests.fixtures.mutants", str(count)]
    done = subprocess.run(words, cwd=paths.SOURCE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1]).values()
    assert sum(each["mutants"] for each in figures) == count
    assert sum(each["killed"] for each in figures) >= LEAST * count, figures
