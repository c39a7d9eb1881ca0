"""`python -m plad` is `plad`."""

from plad.cli import main

main()
