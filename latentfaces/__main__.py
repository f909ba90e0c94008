"`python -m latentfaces` is the `latentfaces` command."
import sys

from latentfaces.cli import main

if __name__ == "__main__":
    sys.exit(main())
