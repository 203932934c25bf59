"""Callbacks: an ended task is told to its webhook URL. Signed, retried, sent to public addresses alone."""
