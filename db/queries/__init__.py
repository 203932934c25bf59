"""SQL by noun: the session first, plain arguments, rows out. A query never commits."""
