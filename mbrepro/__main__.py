import sys

from mbrepro.cli import main

sys.exit(main())
