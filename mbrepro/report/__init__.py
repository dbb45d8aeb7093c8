"""What pages show; the only code that knows HTML and matplotlib."""

VERSION = 11  # raise it when a page shows something else: every notebook runs again
