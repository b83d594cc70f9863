"""`python -m rerank_plugins`: the command line."""

from rerank_plugins.cli import main

main()
