"""Dated lists, each with its source and licence; `scripts/refresh-lists` renews them."""
