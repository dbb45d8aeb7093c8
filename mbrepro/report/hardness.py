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
    moved = (table[["raw", "official"]] - table.loc[tradeoff.AS_IS, ["raw", "official"]]).drop(tradeoff.AS_IS)
    chance = moved.loc[judges.ANEW].abs()
    lines = [
        f"Chance: other recordings of the same settings move F1 of the trees by {chance['raw']:.3f} and the official "
        f"network's by {chance['official']:.3f}. Differences that are no larger say nothing."
    ]
    for word, sign in (("helps", 1), ("harms", -1)):
        found = moved.drop(judges.ANEW)
        found = found[sign * found["official"] > chance["official"]]
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
    """Which targets no single change reaches, and how many the best change reaches."""
    missed = tradeoff.shortfalls(table.drop(judges.ANEW)) > 0
    never = [name for name in missed if missed[name].all()]
    most, least = missed.sum(axis=1).idxmin(), missed.sum(axis=1).min()
    stays = (
        f"Of {missed.shape[1]} targets {len(never)} are met by no single change: {', '.join(never)}." if never else ""
    )
    best = f"Fewest are missed after the change {most}: {least}; as the demo is, {missed.loc[tradeoff.AS_IS].sum()}."
    return f"{stays} {best}".strip()
