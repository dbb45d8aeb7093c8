"""Sphinx extension: each script stands in a page once, and none is there that would load from elsewhere."""


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


def setup(app):
    app.connect("html-page-context", _once)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
