"""The fetch function in Python: it lists a bucket, reads every object, and answers what it found.

Start from `fetch.handler.Fetcher`; one serves a whole process. It knows S3 only
through `fetch.store.Store`.
"""
