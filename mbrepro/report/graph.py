"""Which artifact made which number, drawn: a line a notebook, from what it takes to the rows and pages it gives to."""

import html
from collections.abc import Collection, Mapping, Sequence

STEP, TOP, LINE, NAME, TEXT = 23, 132, 25, 160, 13  # of the drawing, in its own units, about px


def graph(
    takes: Mapping[str, Collection[str]], gives: Mapping[str, Collection[str]], order: Sequence[str],
    links: Mapping[str, str],
) -> str:  # fmt: skip
    """An SVG of dots: a line a page's notebook, columns of what it takes at its left and of what it gives to at right.

    takes, gives: by notebook. order: of the columns. links: where pages lie, those of notebooks and of columns.
    """
    left, right = ([one for one in order if any(one in some for some in of.values())] for of in (takes, gives))
    at = {("takes", one): STEP * (k + 0.5) for k, one in enumerate(left)}
    start = STEP * len(left)
    at |= {("gives", one): start + NAME + STEP * (k + 0.5) for k, one in enumerate(right)}
    width, height = start + NAME + STEP * len(right), TOP + LINE * len(takes)
    heads = [
        f'<text transform="translate({x + TEXT / 3:.1f} {TOP - 12}) rotate(-90)">{_linked(name, links)}</text>'
        for (_, name), x in at.items()
    ]
    lines = []
    for k, name in enumerate(takes):
        y = TOP + LINE * (k + 0.5)
        places = [at["takes", one] for one in takes[name]] + [at["gives", one] for one in gives.get(name, ())]
        ends = min([*places, start]), max([*places, start + NAME])
        lines.append(f'<path d="M{ends[0]} {y}H{start}M{start + NAME} {y}H{ends[1]}"/>')
        lines += [f'<circle cx="{x}" cy="{y}" r="5"/>' for x in places]
        lines.append(f'<text x="{start + 5}" y="{y + TEXT / 3:.1f}">{_linked(name, links)}</text>')
    told = [f"{name} takes {_listed(takes[name])} and gives to {_listed(gives.get(name, ()))}" for name in takes]
    words = html.escape("; ".join(told))
    return (
        f'<figure class="mb-graph"><svg viewBox="0 0 {width} {height}" role="group" aria-label="{words}">'
        f"{''.join(heads)}{''.join(lines)}</svg></figure>"
    )


def _linked(name: str, links: Mapping[str, str]) -> str:
    text = html.escape(name)
    return f'<a href="{html.escape(links[name])}">{text}</a>' if name in links else text


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
