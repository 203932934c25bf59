"""Who people are: one port, and what stands behind it."""
