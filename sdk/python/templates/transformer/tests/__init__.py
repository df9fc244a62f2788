"""The tests find the copy of the kit that lies here; whoever has installed `crossdock-sdk` can leave this out."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "vendor" / "crossdock-sdk"))
