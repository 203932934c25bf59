"""Files in and out: lists of addresses that are uploaded, results that are downloaded. Knows no HTTP and no SQL."""
