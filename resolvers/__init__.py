"""Thin: (info, arguments) -> explicit arguments -> one call. Returns rows; knows neither the schema's types nor SQL."""
