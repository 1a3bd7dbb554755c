"""Starts MiniStack, the local AWS that the end-to-end test deploys to, closer to AWS where that matters here:

- a bootstrap for the other architecture runs under qemu;
- an invocation's log tail has the platform's lines (start, report), as text or JSON as the function is configured;
- deleting a bucket that holds objects fails, as it does on AWS: MiniStack would drop them without a word, and the
  seeder's delete would never be tested;
- what a resource needs stays while that resource cannot be deleted: MiniStack would delete the seeder of objects that
  it refused to delete, and a second attempt would find nobody to do it;
- who gets or puts an object that is encrypted with a KMS key must be allowed to use that key, for S3, by his own policy
  (the key's is not looked at); a bucket of a template has the encryption that the template says;
- deleting a function ends its processes.

Its times mean nothing: it limits neither CPU nor memory.
"""

import datetime
import functools
import json
import math
import os
import pathlib
import platform
import threading
import time

from ministack.core import iam_evaluator, lambda_runtime, responses, router
from ministack.services import cloudformation, lambda_svc, s3
from ministack.services.cloudformation import provisioners, stacks

ELF_MACHINES = {62: "x86_64", 183: "aarch64"}
QEMU = {"x86_64": "qemu-x86_64-static", "aarch64": "qemu-aarch64-static"}


def machine_of(program: pathlib.Path) -> str | None:
    """The architecture an ELF file is for; None for any other file."""
    with program.open("rb") as f:
        head = f.read(20)
    if head[:4] != b"\x7fELF":
        return None
    return ELF_MACHINES.get(int.from_bytes(head[18:20], "little"))


def run_foreign_bootstraps_under_qemu():
    unpack, lock = lambda_svc._provided_runtime_code_dir, threading.Lock()

    @functools.wraps(unpack)
    def unpack_for_this_machine(code_zip):
        folder = unpack(code_zip)
        bootstrap = pathlib.Path(folder, "bootstrap")
        with lock:
            machine = machine_of(bootstrap)
            if machine and machine != platform.machine():
                foreign = bootstrap.rename(bootstrap.with_name("bootstrap." + machine))
                bootstrap.write_text(f'#!/bin/sh\nexec {QEMU[machine]} "{foreign}" "$@"\n')
                bootstrap.chmod(0o755)
        return folder

    lambda_svc._provided_runtime_code_dir = unpack_for_this_machine


def peak_mb(process) -> int:
    """A process's largest resident set so far; 0 where it is gone."""
    try:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    except (OSError, AttributeError):
        return 0
    return next((math.ceil(int(line.split()[1]) / 1024) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


class Worker(lambda_runtime.ProvidedWorker):
    """An execution environment whose log has the platform's lines."""

    init_ms = 0.0

    def _spawn(self, *args, **kwargs):
        began = time.monotonic()
        super()._spawn(*args, **kwargs)
        self.init_ms = (time.monotonic() - began) * 1000

    def invoke(self, event, request_id, **kwargs):
        began = time.monotonic()
        result = super().invoke(event, request_id, **kwargs)
        total_ms = (time.monotonic() - began) * 1000
        init_ms = self.init_ms if result.get("cold_start") else 0.0
        lines = self.text_lines if self.config.get("LoggingConfig", {}).get("LogFormat") != "JSON" else self.json_lines
        before, after = lines(request_id, max(total_ms - init_ms, 0.01), init_ms, result.get("status") == "ok")
        result["log"] = "\n".join(filter(None, [*before, result.get("log", ""), *after])) + "\n"
        return result

    def text_lines(self, request_id, duration_ms, init_ms, _ok):
        report = (
            f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms\tBilled Duration: {math.ceil(duration_ms + init_ms)} ms\t"
            f"Memory Size: {self.config['MemorySize']} MB\tMax Memory Used: {peak_mb(self._proc)} MB\t"
        )
        if init_ms:
            report += f"Init Duration: {init_ms:.2f} ms\t"
        version = self.config.get("Version", "$LATEST")
        return [f"START RequestId: {request_id} Version: {version}"], [f"END RequestId: {request_id}", report]

    def json_lines(self, request_id, duration_ms, init_ms, ok):
        def line(kind, **record):
            now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return json.dumps({"time": now, "type": kind, "record": {"requestId": request_id, **record}})

        metrics = {
            "durationMs": round(duration_ms, 3),
            "billedDurationMs": math.ceil(duration_ms + init_ms),
            "memorySizeMB": self.config["MemorySize"],
            "maxMemoryUsedMB": peak_mb(self._proc),
        }
        if init_ms:
            metrics["initDurationMs"] = round(init_ms, 3)
        version = self.config.get("Version", "$LATEST")
        return (
            [line("platform.start", version=version)],
            [line("platform.report", metrics=metrics, status="success" if ok else "error")],
        )


def replace_delete(original, replacement):
    """Has CloudFormation delete a kind of resource in another way."""
    for handler in provisioners._RESOURCE_HANDLERS.values():
        if handler.get("delete") is original:
            handler["delete"] = replacement


def delete_as_aws_does():
    delete_bucket, delete_function = provisioners._s3_delete, provisioners._lambda_delete

    def delete_empty_bucket(physical_id, props):
        objects = (provisioners._s3._buckets.get(physical_id) or {}).get("objects")
        if objects:
            raise ValueError(f"The bucket you tried to delete is not empty: {physical_id} holds {len(objects)} objects")
        delete_bucket(physical_id, props)

    def delete_function_and_processes(physical_id, props):
        delete_function(physical_id, props)
        lambda_runtime.invalidate_worker(physical_id, account=provisioners.get_account_id(), region=provisioners.get_region())

    replace_delete(delete_bucket, delete_empty_bucket)
    replace_delete(delete_function, delete_function_and_processes)


KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


def ask_for_keys():
    create, get, put = provisioners._s3_create, s3._get_object, s3._put_object

    def create_encrypted(logical_id, props, stack_name):
        made = create(logical_id, props, stack_name)
        name = made[0] if isinstance(made, tuple) else made
        for rule in props.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", []):
            default = rule["ServerSideEncryptionByDefault"]
            if "KMSMasterKeyID" not in default:
                continue  # MiniStack has no keys of AWS's own, which the CDK's bucket asks for
            parts = "".join(f"<{key}>{default[key]}</{key}>" for key in ("SSEAlgorithm", "KMSMasterKeyID") if key in default)
            by_default = f"<ApplyServerSideEncryptionByDefault>{parts}</ApplyServerSideEncryptionByDefault>"
            s3._put_bucket_encryption(
                name, f"<ServerSideEncryptionConfiguration><Rule>{by_default}</Rule></ServerSideEncryptionConfiguration>".encode()
            )
        return made

    def refusal(action, key, headers, query):
        principal = iam_evaluator.resolve_principal(router.extract_access_key_id(headers, query or {}), responses.get_account_id())
        if getattr(principal, "policies", None) is None:
            return None  # the account's root
        region = responses.get_region()
        context = iam_evaluator.EvalContext(
            principal_arn=principal.arn, principal_type=principal.type, principal_account=principal.account, action=action,
            resource_arn=key, region=region, service_context={"kms:viaservice": f"s3.{region}.amazonaws.com"},
        )
        if iam_evaluator.evaluate(context, principal.policies).decision == "Allow":
            return None
        return s3._error("AccessDenied", f"User: {principal.arn} is not authorized to perform: {action} on resource: {key}", 403)

    @functools.wraps(get)
    def get_decrypted(bucket, key, headers, query_params=None):
        answer = get(bucket, key, headers, query_params)
        used = {name.lower(): value for name, value in answer[1].items()}.get(KEY_HEADER)
        return used and refusal("kms:Decrypt", used, headers, query_params) or answer

    @functools.wraps(put)
    def put_encrypted(bucket, key, body, headers):
        used = s3._bucket_default_sse_headers(bucket).get(KEY_HEADER)
        return used and refusal("kms:GenerateDataKey", used, headers, {}) or put(bucket, key, body, headers)

    for handler in provisioners._RESOURCE_HANDLERS.values():
        if handler.get("create") is create:
            handler["create"] = create_encrypted
    s3._get_object, s3._put_object = get_decrypted, put_encrypted


def keep_what_is_needed():
    delete, held = stacks._delete_resource, {}  # what is needed, by stack and resource, for what

    @functools.wraps(delete)
    def delete_if_not_needed(kind, physical_id, props, stack_name, logical_id):
        if needed_for := held.get((stack_name, logical_id)):
            raise ValueError(f"{needed_for} needs it, and could not be deleted")
        definitions = (cloudformation._stacks.get(stack_name) or {}).get("_template", {}).get("Resources", {})
        needs = stacks._with_dependencies([logical_id], definitions, set(definitions)) - {logical_id}
        try:
            delete(kind, physical_id, props, stack_name, logical_id)
        except Exception:
            held.update({(stack_name, need): logical_id for need in needs})
            raise
        for key in [key for key, needed_for in held.items() if key[0] == stack_name and needed_for == logical_id]:
            del held[key]

    stacks._delete_resource = delete_if_not_needed


def main():
    run_foreign_bootstraps_under_qemu()
    lambda_runtime.ProvidedWorker = Worker
    delete_as_aws_does()
    keep_what_is_needed()
    ask_for_keys()
    os.environ.setdefault("LAMBDA_EXECUTOR", "local")

    from ministack import app

    app.main()


if __name__ == "__main__":
    main()
