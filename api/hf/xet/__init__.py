"""The write half of the Xet protocol: pure parsers of its two bodies, and the spool between them."""
