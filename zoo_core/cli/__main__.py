"""``python -m zoo_core.cli``."""

from zoo_core.cli import main

main()
