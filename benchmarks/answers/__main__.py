"""Most quality per answer: every figure and plot.

    python -m benchmarks.answers --data mnist --seeds 5

See README.md in this folder.
"""

from benchmarks.answers.command import main

if __name__ == "__main__":
    main()
