"""One file a command; the only code that knows papermill, jupyter-book and the terminal."""
