"""``python -m puretune``."""

from puretune.cli import main

main()
