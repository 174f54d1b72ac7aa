"""`python -m nlp_lstm` is the `nlp-lstm` command, for where the script is not on the path."""

from __future__ import annotations

import sys

from nlp_lstm.cli import main

if __name__ == "__main__":
    sys.exit(main())
