"""Uses the sandbox's S3 through boto3 with its defaults.

The environment says where it is. Prints one line for each behaviour, and ends
with a traceback at the first that is not S3's.
"""

import hashlib
import os
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client("s3")
BUCKET = "fanout-lab"


def fails(code, status, call, **arguments):
    """call must answer with this error, which has a message."""
    try:
        call(**arguments)
    except ClientError as e:
        error, meta = e.response["Error"], e.response["ResponseMetadata"]
        assert (error["Code"], meta["HTTPStatusCode"]) == (code, status), e.response
        assert error.get("Message") not in (None, "", code), e.response
        return
    raise AssertionError(f"{call} with {arguments} did not fail")


def body(key, **arguments):
    return s3.get_object(Bucket=BUCKET, Key=key, **arguments)["Body"].read()


# Python 3.13 verifies so by default.
context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
context.verify_flags |= ssl.VERIFY_X509_STRICT
endpoint = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL_S3"])
with socket.create_connection((endpoint.hostname, endpoint.port)) as plain:
    context.wrap_socket(plain, server_hostname=endpoint.hostname).close()
print("strict TLS")

s3.put_object(Bucket=BUCKET, Key="py/empty", Body=b"")
assert body("py/empty") == b""
print("an empty object")

large = os.urandom(1 << 20) * 20
s3.upload_fileobj(__import__("io").BytesIO(large), BUCKET, "py/large")  # multipart above 8 MB
head = s3.head_object(Bucket=BUCKET, Key="py/large")
parts = [large[i : i + (8 << 20)] for i in range(0, len(large), 8 << 20)]
etag = hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).hexdigest()
assert head["ETag"] == f'"{etag}-3"' and head["ContentLength"] == len(large), head
s3.download_file(BUCKET, "py/large", "large")
assert open("large", "rb").read() == large
print("an upload in parts")

for algorithm in ("CRC32", "SHA1", "SHA256"):
    put = s3.put_object(Bucket=BUCKET, Key="py/sum", Body=b"x", ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=BUCKET, Key="py/sum", ChecksumMode="ENABLED")
    got["Body"].read()
    assert put["Checksum" + algorithm] == got["Checksum" + algorithm], (put, got)
print("checksums in trailers")

upload = s3.create_multipart_upload(Bucket=BUCKET, Key="py/small", ChecksumAlgorithm="SHA256")["UploadId"]
made = [
    s3.upload_part(Bucket=BUCKET, Key="py/small", UploadId=upload, PartNumber=n, Body=b"x", ChecksumAlgorithm="SHA256")
    for n in (1, 2)
]
chosen = {"Parts": [{"PartNumber": n + 1, "ETag": p["ETag"], "ChecksumSHA256": p["ChecksumSHA256"]} for n, p in enumerate(made)]}
fails("EntityTooSmall", 400, s3.complete_multipart_upload, Bucket=BUCKET, Key="py/small", UploadId=upload, MultipartUpload=chosen)
assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [upload]
s3.abort_multipart_upload(Bucket=BUCKET, Key="py/small", UploadId=upload)
assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
print("parts that are too small")

s3.put_object(Bucket=BUCKET, Key="py/ten", Body=b"0123456789")
assert body("py/ten", Range="bytes=-99") == b"0123456789"
assert body("py/ten", Range="bytes=5-2") == b"0123456789"
assert s3.head_object(Bucket=BUCKET, Key="py/ten", Range="bytes=2-4")["ContentLength"] == 3
fails("InvalidRange", 416, s3.get_object, Bucket=BUCKET, Key="py/ten", Range="bytes=10-")
print("ranges")

assert s3.list_objects_v2(Bucket=BUCKET, Prefix="none")["KeyCount"] == 0
fails("NoSuchKey", 404, s3.get_object, Bucket=BUCKET, Key="none")
fails("NoSuchBucket", 404, s3.list_objects_v2, Bucket="nothing")
print("nothing")

s3.create_bucket(Bucket="py-versions")
s3.create_bucket(Bucket="py-versions")
s3.put_bucket_versioning(Bucket="py-versions", VersioningConfiguration={"Status": "Enabled"})
old = s3.put_object(Bucket="py-versions", Key="k", Body=b"old")["VersionId"]
s3.put_object(Bucket="py-versions", Key="k", Body=b"new")
s3.copy_object(Bucket=BUCKET, Key="py/copy", CopySource={"Bucket": "py-versions", "Key": "k", "VersionId": old})
assert body("py/copy") == b"old"
s3.copy({"Bucket": BUCKET, "Key": "py/large"}, BUCKET, "py/copy", Config=TransferConfig(multipart_threshold=8 << 20))
assert body("py/copy") == large
print("copies")

odd = "py/\x01 é+%"
s3.put_object(Bucket="py-versions", Key=odd, Body=b"x")
listed = s3.list_objects_v2(Bucket="py-versions", Prefix="py/")["Contents"]
assert [o["Key"] for o in listed] == [odd], listed
versions = s3.list_object_versions(Bucket="py-versions", Prefix="py/")["Versions"]
assert [v["Key"] for v in versions] == [odd], versions
fails("MalformedXML", 400, s3.delete_objects, Bucket="py-versions", Delete={"Objects": [{"Key": odd}]})
s3.delete_object(Bucket="py-versions", Key=odd, VersionId=versions[0]["VersionId"])
boto3.resource("s3").Bucket("py-versions").object_versions.delete()
s3.delete_bucket(Bucket="py-versions")
print("keys that XML cannot hold")


def fetch(url):
    try:
        return urllib.request.urlopen(url, context=context).status
    except urllib.error.HTTPError as e:
        return e.status if b"AWS4-HMAC-SHA256" in e.read() else 0


get = {"Bucket": BUCKET, "Key": "py/ten"}
v4 = boto3.client("s3", config=Config(signature_version="s3v4"))
v2 = boto3.client("s3", config=Config(signature_version="s3"))
assert fetch(v4.generate_presigned_url("get_object", Params=get)) == 200
assert fetch(v2.generate_presigned_url("get_object", Params=get)) == 400
print("presigned URLs")

boto3.resource("s3").Bucket(BUCKET).objects.filter(Prefix="py/").delete()
print("done")
