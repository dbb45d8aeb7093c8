"""Settings that make no sense are refused when they are made."""

from dataclasses import replace

import numpy as np
import pytest

from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method import protocols
from mbrepro.method.heads import HeadSettings


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("anchor", "end", "anchor must be start or middle, not 'end'"),
        ("head_clips", "all", "head_clips must be localized or labelled or both, not 'all'"),
        ("written", "", "written must be action or all, not ''"),
        ("view", "", "view is empty"),
        ("validation_fraction", 1.0, "from 0 to below 1, not 1.0"),
        ("validation_fraction", np.nan, "from 0 to below 1, not nan"),
    ],
)
def test_a_protocol_is_checked_when_it_is_made(setting, value, sentence):
    for make in (protocols.published, protocols.corrected, protocols.published_few_shot, protocols.corrected_few_shot):
        with pytest.raises(InputError, match=sentence):
            replace(make(EmbedderSettings()), **{setting: value})


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("kind", "tree", "no head 'tree'; take linear, mlp, knn"),
        ("neighbours", 0, "neighbours must be at least 1, not 0"),
        ("hidden", -1, "hidden must be at least 1, not -1"),
        ("regularisation", np.nan, "regularisation must be a positive number, not nan"),
    ],
)
def test_a_head_is_checked_when_it_is_chosen(setting, value, sentence):
    with pytest.raises(InputError, match=sentence):
        HeadSettings(**{setting: value})
