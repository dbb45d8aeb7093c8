"""The look through a built book finds each fault that is made in a page, and none in one that is well."""

import pytest

from mbrepro import paths
from tests.fixtures import browser

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium on this machine")

THEME = """<script>
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
</script><style>a { color: #000; } :focus-visible { outline: 2px solid; }</style>"""
MENU = """<button class="primary-toggle" onclick="document.querySelector('dialog').showModal()">menu</button>
<dialog id="pst-primary-sidebar-modal" aria-label="menu"><a href="#here">here</a></dialog>"""
SWITCH = """<button class="theme-switch-button" onclick="let n = this.value = (+this.value + 1) % 3;
document.documentElement.dataset.theme = ['light', 'dark', 'light'][n]">theme</button>"""
STATIC = paths.SOURCE / "book" / "_static"
SCRIPTS = "".join(f"<script>{(STATIC / name).read_text()}</script>" for name in ("enlarge.js", "paper.js"))
DOT = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>".replace("<", "%3C").replace(">", "%3E")
PICTURE = f'<article class="bd-article"><img src="data:image/svg+xml,{DOT}" alt="a dot"></article>'
MARK = "<i style='display: block; width: 9px; height: 9px; background: red;{}'></i>"
CLOSED = "<details class='hide'><summary>code</summary></details>"
SLIDER = """<figure><label>wider <input type="range" name="wider" max="3" oninput="{}"></label>
<div class="mb-lines">lines</div></figure>"""
MOVED = "this.closest('figure').querySelector('.mb-lines').style.width = `${this.value}px`"
FAULTS = {
    "<script>document.documentElement.dataset.theme = 'neither'</script>": "another theme",
    "<script>console.error('so')</script>": "console: so",
    "<script>throw new Error('thus')</script>": "script: thus",
    "<img src='gone.png' alt='a picture that is gone'>": "gone.png",
    "<img src='https://127.0.0.1:9/a.png' alt='a picture of others'>": "from elsewhere: https://127.0.0.1:9/",
    "<p style='color: #999; background: #aaa'>pale</p>": "axe color-contrast",
    "<h3>a heading two steps down</h3>": "axe heading-order",
    "<details><summary>folded</summary><input></details>": "axe label",
    "<div style='width: 500px'>wide</div>": "is 5",
    "<a href='other.html'>a page that is not there</a>": "leads nowhere: other.html#",
    "<a href='#there'>a place that is not there</a>": "leads nowhere: ill.html#there",
    "<button tabindex='-1'>for mice</button>": "no key reaches <button",
    "<button style='outline: none'>unseen</button>": "focus does not show on <button",
    SLIDER.format(""): "the slider wider moves nothing",
    "<script>document.querySelector('.primary-toggle').onclick = null</script>": "Enter leaves the primary menu",
    "<script>document.querySelector('.theme-switch-button').onclick = null</script>": "the switch gives the themes",
    "<div tabindex='0' style='overflow: auto'><p style='width: 800px'>long</p></div>": "paper cuts <div tabindex",
    "<style>@media print { i { position: relative; left: 700px; } }</style><i>far</i>": "paper loses the end of <i>",
    CLOSED: "paper shows closed code",
    PICTURE: "nothing enlarges <img",
    MARK.format(""): "paper loses the colour of <i",
    "": "paper is not light",
}  # fmt: skip


def page(*parts: str) -> str:
    head = (
        '<!doctype html><html lang="en"><head><meta name="viewport" content="width=device-width"><title>t</title>'
        + SCRIPTS
    )
    return (
        f'{head}{THEME}</head><body><main><h1 id="here">A page</h1>{SWITCH}{MENU}{"".join(parts)}</main></body></html>'
    )


def test_every_fault_that_is_made_in_a_page_is_named_and_none_where_there_is_none(tmp_path):
    (tmp_path / "well.html").write_text(
        page(
            '<a href="well.html#here">back</a>', SLIDER.format(MOVED), PICTURE, MARK.format("print-color-adjust: exact")
        )
    )
    (tmp_path / "ill.html").write_text(page(*FAULTS).replace(SCRIPTS, ""))
    (tmp_path / "search.html").write_text(page('<div id="search-results"><p class="search-summary">none</p></div>'))
    (tmp_path / "poor.html").write_text(page().replace(MENU, ""))
    found = browser.faults(tmp_path)
    assert [line for line in found if not line.startswith("ill.html")] == [
        "search, light: ethogram is found on no page",
        "poor.html, dark: has no button for its primary menu",
        "search, dark: ethogram is found on no page",
    ]
    for fault, named in FAULTS.items():
        assert any(named in line for line in found), fault
