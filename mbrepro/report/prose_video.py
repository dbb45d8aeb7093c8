"""Sentences on what a video model is worth in ways that were tried beside the study's own: see `prose`."""

from collections.abc import Mapping

import numpy as np

from mbrepro.embedding.embedder import STAND_IN
from mbrepro.report.prose import paragraph, told_of, verdict_on
from mbrepro.study import beyond
from mbrepro.study.gated import Stages
from mbrepro.study.learned import Pairs


def asked(told: Mapping[str, float] | None, model: str) -> str:
    """How a model's own answers stand to its head on the same clips (`results.difference` of F1).

    told: None of a model that cannot be asked. model: of `EmbedderSettings`.
    """
    if told is None:
        return paragraph("This model cannot be asked, so the row has no value.")
    verdict = verdict_on(
        told, "asking names these clips better", "the head names these clips better",
        "these videos do not tell the two apart", "too few videos to tell the two apart",
    )  # fmt: skip
    line = f"{told_of({'F1': told}, 'The model asked directly', 'its head')}: {verdict}."
    if model == STAND_IN:
        line += " The stand-in has never met these words: the row shows that it can be asked, not what a model knows."
    return paragraph(line)


def extents(pairs: Pairs, learned: Stages, fixed: Stages) -> str:
    """Whether clips of learned extent are worth more than clips of one length, at as many frames shown.

    pairs: as of `learned.beside`, of which the last is told. learned, fixed: both stages with either kind of clips.
    """
    differences = beyond.differences(*list(pairs.values())[-1])
    lasting = np.concatenate([one.seconds for part in learned.test for one in part])
    low, middle, high = np.percentile(lasting, (5, 50, 95)) if len(lasting) else (np.nan,) * 3
    verdict = verdict_on(
        differences["F1"], "Learned extent gains F1", "Learned extent costs F1",
        "Learned extent gains nothing that these videos show", "Too few videos are here to tell the two kinds apart",
    )  # fmt: skip
    told = told_of(differences, "clips of learned extent", "clips of one length")
    few = f"There are {len(lasting) / len(learned.test):.0f} of them a seed, and they last {middle:.1f} s in the median"
    return paragraph(
        f"{verdict}: at as many frames as all clips of learned extent have, {told}. {few}, most from {low:.1f} to "
        f"{high:.1f} s (5th and 95th percentile). In what joins the stages, stage 1's scores have the exponent 1, and "
        f"stage 2's {learned.joint.trust:.2f} with clips of learned extent and {fixed.joint.trust:.2f} with clips of "
        "one length."
    )
