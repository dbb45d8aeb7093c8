"""What the poster claims and what holds: the box of the first page, and the page that takes them one by one.

Numbers come from recorded figures, from the poster's own, and from what notebooks glued. A verdict on the recorded ones
is held to them by tests; of the study's own runs, whose numbers change, words that compare follow from the numbers.
"""

import html
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from IPython.display import HTML

from mbrepro.report.page import ACTION, BEHAVIOURS, table, two_people, with_interval
from mbrepro.report.prose import compared
from mbrepro.report.real import MABE, PRINTED, VASSI
from mbrepro.study import audit, encoder, namer, poster, rats, recorded

ARITHMETIC, REAL, SIMULATED = "arithmetic", "real", "simulated"
SHOWN, INFERRED = "shown", "inferred"
RECORD = "mbrepro record"  # with the real data at hand


class Claim(NamedTuple):
    """What is claimed, the verdict, and what it rests on: evidence real, simulated or arithmetic, shown or inferred.

    known is empty where nothing was tested. page: the notebook that shows it. command: what makes its numbers.
    """

    claimed: str
    verdict: str
    told: str
    evidence: str
    known: str
    page: str
    command: str


def claims(glued: Mapping[str, str], source: str) -> list[Claim]:
    """Each claim of the poster. glued: what the study's notebooks glued. source: of its recordings."""
    return [*_of_numbers(), *_of_clips(), *_of_the_idea(), *_of_the_model(glued, source)]


def _of_numbers() -> list[Claim]:
    told, official, frames = poster.readings(), audit.collapsed_baseline(), poster.TEST_FRAMES
    return [
        Claim(
            "The two stages reach an F1 of .52; CalMS21's baseline has .79.", "not on one scale",
            f"The .52 is a mean over four classes, the easy other included. The poster's confusion matrix gives "
            f"{told['macro_f1']:.3f} read so, and {told['f1']:.3f} over the three behaviours, as the .79 is.",
            ARITHMETIC, SHOWN, "04_pose_vlm", "mbrepro run 04_pose_vlm",
        ),
        Claim(
            "MAP: .88 for localization, .52 end to end.", "is most likely precision",
            f"The matrix's precision over four classes is {told['macro_precision']:.3f}, its recall "
            f"{told['macro_recall']:.3f}, so the .52 could be either; for localization the paper's text gives .88 as "
            "precision.", ARITHMETIC, SHOWN, "08_audit", "mbrepro run 08_audit",
        ),
        Claim(
            "Poses tell where something happens: F1 .92.", "holds",
            "Its .92 is of action against other; the official four-class baseline, its behaviours added up, has "
            f"{official['f1']:.3f} ± {official['sd']:.3f} over its published seeds, so stage 1 needs no network of "
            f"its own. So measured two people agree to {with_interval(two_people()[ACTION])}, on other recordings.",
            REAL, SHOWN, "08_audit", "mbrepro run 08_audit",
        ),
        Claim(
            "It is very accurate on other.", "holds",
            f"It recalls {poster.CONFUSION[3][3]:.0%} of other's frames. They are {frames[3] / sum(frames):.0%} of the "
            "test frames, and stage 1 alone decides them.", ARITHMETIC, SHOWN, "08_audit", "mbrepro run 08_audit",
        ),
    ]  # fmt: skip


def _of_clips() -> list[Claim]:
    clips = recorded.read("audit")["figures"]["test"]["clips"]
    cut, right, always = clips["as_cut"], clips["cut_right"], clips["always"]
    return [
        Claim(
            "The clips' embedding tells behaviours above chance: accuracy .47.",
            "not shown to be above the trivial answer",
            f"Always answering {clips['most_frequent']} is right about {with_interval(always)} of the clips that the "
            "poster's rule makes of the true labels, an interval that holds the .47. The poster's own clips are not "
            "public.",
            REAL, INFERRED, "08_audit", f"{RECORD} audit",
        ),
        Claim(
            "The embedding is biased to investigation.", "cannot be told from these clips",
            f"Cut at frame / 60, in a share of {with_interval(cut['same'])} the most frequent behaviour is the one "
            f"they are labelled with, cut right {with_interval(right['same'])}. At frame / 60 perfect stages reach an "
            f"F1 of {with_interval(cut['end_to_end']['f1'])}. That Task 1's were cut as Task 3's is inferred.",
            REAL, INFERRED, "08_audit", f"{RECORD} audit",
        ),
    ]  # fmt: skip


def _of_the_idea() -> list[Claim]:
    rule = recorded.read("sparsity")["figures"]["test"]["posters_rule"]
    return [
        Claim(
            "Five seconds of video for each find are enough.", "does not hold under its rule",
            f"With both stages perfect the poster's rule, five seconds for each find of ten, reaches an F1 of "
            f"{with_interval(rule['f1'])}; the baseline has .79 from poses alone.",
            REAL, SHOWN, "09_sparsity", f"{RECORD} sparsity",
        ),
        Claim(
            "Video need be looked at only where something happens.", "not refuted: at best, with short pieces",
            _pieces(), REAL, SHOWN, "11_real", f"{RECORD} namer",
        ),
    ]  # fmt: skip


def _pieces() -> str:
    own = recorded.read("namer")["figures"]["all"][namer.OWN]["curve"]["clips"]
    (piece,) = [p for p in own if p["seconds"] == 0.5]
    dense = recorded.read("feral")["figures"]["metrics"]["f1"]
    return (
        f"One label of a good video model for each half second of action keeps an F1 of {with_interval(piece['f1'])} "
        f"with {piece['touched']['value']:.0%} of the video shown, where every frame gives {with_interval(dense)}. "
        f"To label them the model had seen {piece['seen']['value']:.0%}, and every frame to find them, so "
        f"{piece['f1']['value']:.2f} is an upper bound."
    )


def _of_the_model(glued: Mapping[str, str], source: str) -> list[Claim]:
    own = SIMULATED if source == "simulated" else REAL
    whole, best, ridge = (float(glued[f"space_{name}"]) for name in ("1_NN_full", "1_NN_best", "ridge_full"))
    names, lines = dict(encoder.numbers()), ("dinov2_mean", "stand_in_video_100", "poses_pose")
    dino, stand_in, poses = (names[f"encoder_{line}_f1"] for line in lines)
    return [
        Claim(
            "Few-shot fails (.02) from the curse of dimensionality.", "not shown",
            "It was one behaviour, one run, one neighbour, a localizer never shown it, videos that no release holds. "
            + compared("On this study's clips a nearest neighbour reaches", best, whole, "of the whole space",
                       " at the number of dimensions that suits it best, in hindsight")
            + " " + compared("A linear head reaches", ridge, whole, "of the neighbour in the same space")
            + (" Of Qwen's 1,536 dimensions a stand-in says nothing." if own == SIMULATED else ""),
            own, SHOWN, "06_embedding_space", "mbrepro run 06_embedding_space",
        ),
        Claim(
            "Captions are useless; such models are too much about language.", "open",
            "The poster gives no counts. The stand-in was trained on sentences that name no behaviour, so only the "
            "real model can answer: the page has the rule that sorts its captions, and the test.",
            own, "", "07_language", "make reproduce PROFILE=calms21",
        ),
        Claim(
            "The model is censored about mounting.", "open", "As above: no counts, and no stand-in for it.", own, "",
            "07_language", "make reproduce PROFILE=calms21",
        ),
        Claim(
            "Another embedder would do better (future work).", "open for real mice",
            compared("DINOv2-S, a real encoder, names simulated clips with an F1 of", dino, stand_in, "of the stand-in")
            + " " + compared("Poses of the same clips have", poses, dino, "of DINOv2-S"),
            SIMULATED, SHOWN, "11_real", "mbrepro encoder FOLDER",
        ),
    ]  # fmt: skip


def first_box(source: str) -> str:
    """The first page's box as HTML: claimed, holds, why it failed, works instead, how sure; what is simulated, how to
    do it again."""
    shown = "".join(_line(head, _told(claim), _tags(claim), _link(claim.page)) for head, claim in _answers().items())
    return f'<dl class="mb-answer">{shown}{_of_the_study(source)}</dl>'


def _answers() -> dict[str, Claim]:
    told, official, people = poster.readings(), audit.collapsed_baseline(), two_people()
    own = recorded.read("namer")["figures"]["all"][namer.OWN]
    wrong, right = (own["poster"][cut]["f1"] for cut in audit.CUTS)
    piece = next(p for p in own["curve"]["clips"] if p["seconds"] == 0.5)
    dense = recorded.read("feral")["figures"]["metrics"]["f1"]
    challenge, vassi = (PRINTED[name]["f1"] for name in (MABE, VASSI))
    tests = len(recorded.read("audit")["figures"]["test"]["concentration"]["attack"]["frames"])
    claimed = (
        "The 0.52 counts an easy fourth class, “other”; without it the poster's confusion matrix gives "
        f"{told['f1']:.2f}, to set against 0.79."
    )
    holds = f"F1 {official['f1']:.2f}, the poster's and that of the official network of CalMS21, the mouse data used."
    why = (
        "Its rule skips short action and names ten seconds from the first five; its code starts clips at half their "
        f"time. Labels of FERAL, a good video model, have {dense['value']:.2f}; through the rule "
        f"{with_interval(right)}, with wrong seconds also {with_interval(wrong)}, near the poster's {told['f1']:.2f}."
    )
    better = (
        f"Poses alone have {vassi:.2f} and {challenge:.2f} in others' hands. FERAL's labels, one each half second of "
        f"action ({piece['touched']['value']:.0%} of the video), keep {with_interval(piece['f1'])}; but FERAL had seen "
        "all of it."
    )
    sure = (
        f"{tests} test videos of mice; brackets are 95 % intervals by video. On {rats.RECORDINGS} recordings of rats "
        "boosted trees on poses, decoded, beat the poster's network. "
        f"Two people agree to {with_interval(people[BEHAVIOURS])}, on other recordings."
    )
    return {
        "Claimed": Claim(
            "", "F1 0.52 for two stages, 0.79 for poses alone", claimed, ARITHMETIC, SHOWN, "04_pose_vlm", ""
        ),
        "Holds": Claim("", "Poses find the action", holds, REAL, SHOWN, "08_audit", ""),
        "Why it failed": Claim("", "Likely a coarse rule, and the wrong seconds", why, REAL, INFERRED, "11_real", ""),
        "Works instead": Claim("", "Poses well used, and perhaps short pieces", better, REAL, SHOWN, "11_real", ""),
        "How sure": Claim("", "One data set of mice, one of rats", sure, REAL, SHOWN, "11_real", ""),
    }


def _of_the_study(source: str) -> str:
    """The box's last lines: on what both stages were run here, and how to run them again."""
    again, simulated = "<code>make reproduce</code>", '<span class="mb-tag mb-simulated">simulated</span>'
    if source != "simulated":
        return _line("Do it again", f"<strong>{again}</strong>, with <code>PROFILE=calms21</code>.", _AGAIN)
    what = (
        "<strong>This study's own mouse runs, of both stages and the baseline</strong>: neither real video nor Qwen "
        "was at hand. They say nothing about real mice."
    )
    how = (
        f"<strong>{again}</strong> makes all that is simulated, on a laptop. Real figures are stored; <code>mbrepro "
        "record</code> computes them from the data."
    )
    return _line("Simulated", what, simulated) + _line("Do it again", how, _AGAIN)


_AGAIN = '<a href="rerun.html">how, and with other parameters</a>'


def _line(head: str, *parts: str) -> str:
    return f"<div><dt>{head}</dt><dd>{' '.join(parts)}</dd></div>"


def _told(claim: Claim) -> str:
    return f"<strong>{html.escape(claim.verdict)}.</strong> {html.escape(claim.told)}"


def _tags(claim: Claim) -> str:
    known = claim.known or "not tested"
    return f'<span class="mb-tag mb-{claim.evidence}">{claim.evidence}</span> <span class="mb-tag">{known}</span>'


def _link(page: str) -> str:
    return f'<a href="notebooks/{page}.html">page {page[:2]}</a>'


def claims_table(found: Sequence[Claim]) -> str:
    """The claims as HTML, a line each, with evidence, page and command."""
    lines = [
        {
            "the poster": claim.claimed,
            "verdict": HTML(f"<strong>{html.escape(claim.verdict)}</strong>"),
            "why": HTML(html.escape(claim.told)),
            "evidence": HTML(f"{_tags(claim)} {_link(claim.page)}"),
            "made by": HTML(f"<code>{html.escape(claim.command)}</code>"),
        }
        for claim in found
    ]
    return f'<div class="mb-cards">{table(pd.DataFrame(lines), words=True).data}</div>'
