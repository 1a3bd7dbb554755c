"""A contender in Python for a managed runtime, for the end-to-end test: the contract in as few lines as it takes.

It reads with boto3, which Lambda's Python runtimes have, and 16 threads.
"""

import concurrent.futures
import os
import time

import boto3
import botocore.config

WORKERS = 16
s3 = boto3.client("s3", config=botocore.config.Config(max_pool_connections=WORKERS), endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))


def handler(event, _context):
    began = time.monotonic()
    bucket, find = event["s3_bucket_name"], event.get("find")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=event.get("folder") or "")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]

    def holds(key):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return find is not None and find.encode() in body

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        found = [key for key, hit in zip(keys, pool.map(holds, keys), strict=True) if hit]
    result = str(len(keys)) if find is None else (found or ["None"])[0]
    return {"lang": "python", "detail": "boto3", "result": result, "time": round(time.monotonic() - began, 3)}
