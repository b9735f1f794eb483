"""One of several processes that train together (``accelerate launch --module puretune.tuning.trainer``)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from puretune.processes import end_with_parent
from puretune.tuning.trainer._launch import work

end_with_parent(os.getppid())
work(Path(sys.argv[1]))
