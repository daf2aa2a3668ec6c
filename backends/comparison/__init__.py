"""What two builds of a model are found to be when their files are opened: how far their weights lie apart, what they say to the same
input, how quick they are. Everything here parses hostile bytes: run it through `backends.comparison.run` in a sandbox."""
