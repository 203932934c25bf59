"""The SDL surface: Strawberry declarations, and what is measured and told of an operation. No data is touched here."""
