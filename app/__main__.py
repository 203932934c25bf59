"""`python -m app`: starts everything for development; its subcommands are the parts that run alone."""

import sys

from app import cli

if __name__ == "__main__":
    sys.exit(cli.main())
