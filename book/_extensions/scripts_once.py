"""Sphinx extension: each script stands in a page once, none that loads from elsewhere or draws icons; and roles."""

import re
from pathlib import Path

ICONS = "fontawesome.js"  # 1.5 MB, for icons that the theme's style sheet draws from its own font
MENDED = {  # what the theme and docutils write, and a checker of accessibility finds
    rf"<script[^>]*{ICONS}[^>]*></script>": "",
    'role="doc-biblioentry"': 'role="listitem"',  # deprecated
    'id="pst-primary-sidebar"': r'\g<0> role="complementary" aria-label="Sidebar"',
}


def _once(app, pagename, templatename, context, doctree):
    """Sphinx writes inline scripts that an extension adds while it reads a second time; Thebe's need its server."""
    kept, bodies = [], set()
    for script in context["script_files"]:
        body = getattr(script, "attributes", {}).get("body", "")
        if body in bodies or "thebe" in f"{getattr(script, 'filename', '')}{body}".lower():
            continue
        bodies |= {body} - {""}
        kept.append(script)
    context["script_files"] = kept


def _mend(app, error):
    """What the theme writes in templates of its own, which name its version, and docutils without any."""
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for found, better in MENDED.items():
            text = re.sub(found, better, text)
        page.write_text(text, encoding="utf-8")
    for path in (Path(app.outdir) / "_static" / "scripts").glob(f"{ICONS}*"):
        path.unlink()


def setup(app):
    app.connect("html-page-context", _once)
    app.connect("build-finished", _mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
