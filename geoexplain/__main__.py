"""`python -m geoexplain`: the command line."""

import sys

from geoexplain.cli import main

if __name__ == "__main__":
    sys.exit(main())
