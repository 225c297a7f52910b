"""Run the command line: `python -m geoexplain`."""

import sys

from geoexplain.cli import main

if __name__ == "__main__":
    sys.exit(main())
