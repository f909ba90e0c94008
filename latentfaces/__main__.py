"`python -m latentfaces` is the `latentfaces` command."
import sys

from latentfaces.cli import main

sys.exit(main())
