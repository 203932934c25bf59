"""Money: what is on sale, the providers that take it, and what they tell of it."""
