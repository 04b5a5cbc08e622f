"""`python -m sunward` is `sunward`."""

from sunward.cli.main import main

main()
