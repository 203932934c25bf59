"""What the project can do, measured by programs that anybody can run again."""
