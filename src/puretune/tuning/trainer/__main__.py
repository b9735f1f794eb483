"""One of several processes that train together (``accelerate launch --module puretune.tuning.trainer``)."""

from __future__ import annotations

import sys
from pathlib import Path

from puretune.tuning.trainer._launch import work

work(Path(sys.argv[1]))
