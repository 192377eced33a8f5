"""`python -m sdxl_lora VERB`: the command line."""

import sys

from sdxl_lora.cli import main

if __name__ == "__main__":
    sys.exit(main())
