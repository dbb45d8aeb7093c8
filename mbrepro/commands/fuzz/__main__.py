"""The process that reads changed files, as `fuzz` starts it."""

import sys
from pathlib import Path

from mbrepro.commands.fuzz import read_changed

if __name__ == "__main__":
    read_changed(Path(sys.argv[1]), int(sys.argv[2]))
