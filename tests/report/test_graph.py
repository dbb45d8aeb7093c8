"""The graph of what made what has a dot for each thing that a notebook takes or gives to, and no other."""

from bs4 import BeautifulSoup

from mbrepro.report import graph

TAKES = {"01_a": ["recordings"], "02_b": ["recordings", "networks"], "03_<c>": []}
GIVES = {"01_a": ["Clip", "index"], "02_b": ["index"]}


def test_dots_lie_where_a_notebooks_line_meets_what_it_takes_and_gives_to():
    links = {"01_a": "notebooks/01_a.html", "index": "index.html"}
    order = ["recordings", "embeddings", "networks", "Clip", "index"]  # nobody takes embeddings
    shown = BeautifulSoup(graph.graph(TAKES, GIVES, order, links), "html.parser")
    words = [text.get_text() for text in shown.find_all("text")]
    assert words == ["recordings", "networks", "Clip", "index", "01_a", "02_b", "03_<c>"]
    assert {link.get_text(): link["href"] for link in shown.find_all("a")} == {
        "01_a": "notebooks/01_a.html", "index": "index.html",
    }  # fmt: skip
    columns = {"recordings": 0, "networks": 1, "Clip": 2, "index": 3}
    xs = [graph.STEP * (k + 0.5) + graph.NAME * (k > 1) for k in range(4)]
    dots = {(float(dot["cx"]), float(dot["cy"])) for dot in shown.find_all("circle")}
    assert dots == {
        (xs[columns[one]], graph.TOP + graph.LINE * (line + 0.5))
        for line, name in enumerate(TAKES)
        for one in (*TAKES[name], *GIVES.get(name, ()))
    }
    told = shown.svg["aria-label"]
    assert "02_b takes networks, recordings and gives to index; 03_<c> takes nothing and gives to nothing" in told
