"""Sphinx extension: each script stands in a page once, and none that would load from elsewhere or draws icons."""

import re
from pathlib import Path

ICONS = "fontawesome.js"  # 1.5 MB, for icons that the theme's style sheet draws from its own font


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


def _without_icons(app, error):
    """The theme writes this script in a template of its own, which names its version."""
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(rf"<script[^>]*{ICONS}[^>]*></script>", "", text), encoding="utf-8")
    for path in (Path(app.outdir) / "_static" / "scripts").glob(f"{ICONS}*"):
        path.unlink()


def setup(app):
    app.connect("html-page-context", _once)
    app.connect("build-finished", _without_icons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
