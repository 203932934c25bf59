"""The composition root: reads the environment, picks the classes, speaks HTTP in, starts and stops things."""
