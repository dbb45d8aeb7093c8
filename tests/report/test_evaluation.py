"""The page of an evaluation: every section, figures as they were found, and what is not defined said so."""

import numpy as np
import pandas as pd

from mbrepro.data.annotations.paired import Labelled
from mbrepro.metrics.matching import Criteria
from mbrepro.report.evaluation import markdown
from mbrepro.study.evaluate import evaluation, sweep

CLASSES = ("attack", "never", "other")


def test_the_page_says_what_was_found():
    true, predicted = np.repeat([2, 0, 2, -1], [50, 30, 18, 2]), np.repeat([2, 0, 2], [56, 30, 14])
    labelled = [Labelled("v", true, predicted, 10.0, {"attack": (predicted == 0) + 0.1})]
    found = evaluation(labelled, CLASSES, Criteria(0.4, 1))
    page = markdown(
        "a|b compared with c", found, Criteria(0.4, 1), sweep(labelled, CLASSES, Criteria(), [0], [0, 9]), ["d.csv"]
    )
    lines = page.splitlines()
    assert lines[0] == "# a|b compared with c"
    assert (
        "1 recording(s), 98 frames, 0.2 minutes. Frames that count nowhere: 2 without a true label, 0 without a" in page
    )
    assert "Under 8 recordings: no intervals." in page and "no file of that name: d.csv." in page
    assert "## Bouts found: sharing a frame, with tIoU 0.4, with ends within 1 s" in page
    assert "| attack | 0.800 | 0.800 | 0.800 | 0.701 |" in page  # 24 of 30 frames; AP .8 of .8 and then all
    assert "| never | 0.000 | 0.000 | 0.000 | not defined |" in page
    assert "| attack | 1 | 1 | 0 | 0 | 0.600 | 0.600 | 0.600 | 0.600 | 0.600 | 0.600 |" in page
    assert "| attack | 24 | 0 | 6 |" in page and "| attack, seconds | 3.000 | 3.000 | not defined |" in page
    assert "| gaps to 0 s filled, bouts under 9 s dropped | 0.000 | 0.000 | 0.000 | 0.000 |" in page
    tables = [line for line in lines if line.startswith("|")]
    assert all(line.endswith("|") for line in tables) and page.count("## ") == 8


def test_counts_are_whole_and_columns_as_many_in_every_row():
    rng = np.random.default_rng(0)
    labelled = [Labelled(f"v{k}", *np.repeat(rng.integers(0, 3, (2, 400)), 5, axis=1), 30.0, {}) for k in range(8)]
    page = markdown("x", evaluation(labelled, CLASSES, Criteria()), Criteria(), pd.DataFrame(
        {"gaps_filled_s": [], "bouts_dropped_s": [], "f1": []}), [])  # fmt: skip
    for section in page.split("## ")[1:]:
        widths = {line.replace("\\|", "").count("|") for line in section.splitlines() if line.startswith("|")}
        assert len(widths) == 1, section
    assert (
        "Intervals: 95 % percentile bootstrap" in page
        and ".00 – " not in page.split("## How bouts differ")[1].split("starts")[0]
    )


def test_names_from_files_are_text_and_no_html_or_link():
    classes = ("<script>alert(1)</script>", "[a](javascript:b)", "two\n# lines|", "other")
    labelled = [Labelled("v", *np.repeat([[0, 1, 2, 3]] * 2, 30, axis=1), 30.0, {})]
    tidied = sweep(labelled, classes, Criteria(), [0], [0])
    page = markdown("a <b> & c", evaluation(labelled, classes, Criteria()), Criteria(), tidied, ["<i>.csv"])
    assert page.startswith("# a &lt;b&gt; &amp; c\n") and "of that name: &lt;i&gt;.csv." in page
    assert "| &lt;script&gt;alert(1)&lt;/script&gt; | 1.000" in page
    assert "| \\[a](javascript:b) | 1.000" in page and "| two # lines\\| | 1.000" in page
    assert "<" not in page and "\n# lines" not in page
