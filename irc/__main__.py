"""`python -m irc` is the `irc` command."""

from irc.cli import main

main()
