"""``python -m station_agent``."""

import sys

from station_agent.cli import main

sys.exit(main())
