"""How hard the demo is after single changes of the simulator (`study.tradeoff`): a figure, and what it says of why."""

import matplotlib.pyplot as plt
import pandas as pd

from mbrepro.demo import judges
from mbrepro.report.plots import DOTTED, GRID, METHODS
from mbrepro.report.prose import bullets
from mbrepro.study import tradeoff

PANELS = {
    "boosted trees": ("raw", "smoothed", "true poses", "action"),
    "official network, real weights": ("official", "official attack", "official investigation"),
}
ERRORS = ("no tracking errors", "half the tracking errors", tradeoff.AS_IS, "1.5 times the tracking errors")


def changes(table: pd.DataFrame) -> plt.Figure:
    """F1 of each judge after each change (`tradeoff.recorded_changes`); dotted, the bounds of its target."""
    aims = {name: [middle - reach, middle + reach] for name, (middle, reach) in tradeoff.AROUND.items()}
    aims |= {name: [least] for name, least in tradeoff.LEAST.items()}
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 0.32 * len(table) + 1.8), sharey=True)
    for axis, (title, names) in zip(axes, PANELS.items(), strict=True):
        for name, colour in zip(names, METHODS, strict=False):
            axis.plot(table[name], range(len(table)), "o-", color=colour, markersize=5, linewidth=1, label=name)
            for bound in aims.get(name, []):
                axis.axvline(bound, **DOTTED | {"color": colour})
        axis.set(title=title, xlabel="F1")
        axis.grid(axis="x", color=GRID)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=8)
    axes[0].set_yticks(range(len(table)), table.index)
    axes[0].invert_yaxis()
    return figure


def why(table: pd.DataFrame) -> str:
    """A list: what chance does, whether what helps the official network helps the trees, and which targets stay."""
    chance = tradeoff.chance(table)
    moved = tradeoff.changed(table)[["raw", "official"]] - table.loc[tradeoff.AS_IS, ["raw", "official"]]
    lines = [
        f"Chance: {len(judges.REDRAWN)} redraws of the recordings, nothing else changed, move F1 of the trees by up to "
        f"{chance['raw']:.3f} and the official network's by up to {chance['official']:.3f}. Differences that are no "
        "larger say nothing."
    ]
    for word, sign in (("helps", 1), ("harms", -1)):
        found = moved[sign * moved["official"] > chance["official"]]
        each = [f"{name} ({row['official']:+.3f}; trees {row['raw']:+.3f})" for name, row in found.iterrows()]
        same = int((sign * found["raw"] > 0).sum())
        so = f" The trees go the same way after {same} of these {len(found)}." if each else ""
        lines.append(f"What {word} the official network by more than chance: {', '.join(each) or 'nothing here'}.{so}")
    scaled = table.loc[list(ERRORS), ["raw", "official"]]
    falls = [name for name in scaled if scaled[name].is_monotonic_decreasing]
    fall = {0: "neither falls", 1: f"only {' '.join(falls)} falls", 2: "both fall"}[len(falls)]
    told = [f"{name} {' → '.join(f'{value:.3f}' for value in scaled[name])}" for name in scaled]
    lines.append(f"With tracking errors times 0, ½, 1 and 1.5, {fall} at every step: {'; '.join(told)}.")
    return bullets([*lines, _left(table)])


def _left(table: pd.DataFrame) -> str:
    """Which targets are missed by more than chance, which no single change reaches, and how many the best reaches."""
    off = tradeoff.shortfalls(table)
    missed = tradeoff.changed(off) > 0
    as_is, chance = off.loc[tradeoff.AS_IS], tradeoff.chance(off)
    beyond = [name for name in off if as_is[name] > chance[name]]
    never = [name for name in missed if missed[name].all()]
    most, least = missed.sum(axis=1).idxmin(), missed.sum(axis=1).min()
    told = f"As the demo is, {missed.loc[tradeoff.AS_IS].sum()} of {off.shape[1]} targets are missed, "
    told += f"{', '.join(beyond) or 'none'} by more than redraws move it. "
    stays = f"Met by no single change: {', '.join(never) or 'none'}. "
    return f"{told}{stays}Fewest are missed after the change {most}: {least}."
