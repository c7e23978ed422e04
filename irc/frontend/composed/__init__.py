"""What several frontends make of the same ops of the IR: one file a family, named as in `irc/ir/ops`."""
