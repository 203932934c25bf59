"""The identity port: what holds for every adapter behind it, by subject."""
