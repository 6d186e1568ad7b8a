"""Networks that several families share.  This distribution registers no family."""
