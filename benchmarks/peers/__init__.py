"""Those who are measured, each as a small program that reads addresses and tells verdicts."""
