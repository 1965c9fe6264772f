"""Most quality per answer: every figure and plot.

    python benchmarks/answers/run.py --data mnist --seeds 5

See README.md in this folder.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from benchmarks.answers.command import main

    main()
