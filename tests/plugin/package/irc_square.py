"""The entry point: names only, so that loading it costs nothing."""

from irc import Plugin

PLUGIN = Plugin(
    ops={"square": "irc_square_parts:Square"},
    passes={"use-square": "irc_square_parts:UseSquare"},
    backends={"listing": "irc_square_parts:LISTING"},
    presets={"squared": "canonicalize,use-square{once=true}"},
    lowerings={("listing", "square"): "irc_square_parts:lower_square"},
)
