"""Deploys the stack to a local AWS, by the very commands of the "Deploy" section, and looks at what happens.

    e2e.py README                the whole cycle
    e2e.py README --sabotage     with a seeder whose delete does nothing: destroy must fail, and does so with exit code 3
    e2e.py README --without rust without the Rust contender, which takes cargo and a long time to build

Every function runs the real bootstrap, with its own role's credentials, which the local AWS checks (AUTH, HTTPS). The
commands run in a copy of the repository: what is in its build and results folders is somebody's.
"""

import argparse
import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile

import boto3
import botocore.config
import trustme

import tools

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACCOUNT, REGION, STACK = "111111111111", "eu-central-1", "Fanout"
OBJECTS, NEEDLE = 1000, "MyMagicString"
COMMAND_TIMEOUT = 1200  # seconds; the longest, a deployment after a cold build, takes about 150 of CPU

EXIT_FAILED, EXIT_LEFT_BEHIND = 1, 3


class Failure(Exception):
    code = EXIT_FAILED


class LeftBehind(Failure):
    code = EXIT_LEFT_BEHIND


def check(ok, what):
    if not ok:
        raise Failure(what)
    print(f"  ok  {what}", flush=True)


class Stages:
    """Says what is going on, and in the end how long each of it took."""

    def __init__(self):
        self.took: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def __call__(self, name: str):
        began = time.monotonic()
        print(f"stage {name}", flush=True)
        try:
            yield
        finally:
            self.took.append((name, time.monotonic() - began))

    def show(self):
        for name, seconds in self.took:
            print(f"{seconds:7.1f} s  {name}")
        print(f"{sum(seconds for _, seconds in self.took):7.1f} s  in all", flush=True)


stage = Stages()


def copy_repository(to: pathlib.Path) -> pathlib.Path:
    """What git knows, or would with the next commit, and the npm packages."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    (to / "node_modules").symlink_to(ROOT / "node_modules")
    return to


def deploy_lines(readme: pathlib.Path) -> list[str]:
    """The commands of the section "Deploy": the lines of its first sh block."""
    section = re.search(r"^#+ Deploy\n(.*?)(?=^#+ |\Z)", readme.read_text(), re.M | re.S)
    block = section and re.search(r"^```sh\n(.*?)^```", section[1], re.M | re.S)
    if not block:
        raise Failure(f'{readme}: no sh block in a section "Deploy"')
    return [line for line in block[1].splitlines() if line.strip() and not line.startswith("#")]


class Cloud:
    """The local AWS: a process, a certificate, and the environment that leads a client to it."""

    def __init__(self, folder: pathlib.Path):
        self.folder, self.log = folder, folder / "cloud.log"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        server = authority.issue_cert("127.0.0.1", "localhost")
        server.private_key_pem.write_to_path(folder / "server.key")
        for blob in server.cert_chain_pems:
            blob.write_to_path(folder / "server.pem", append=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        # Node adds this to its own authorities; whatever was there for the registries stays.
        bundle = self.folder / "bundle.pem"
        if not bundle.exists():
            before = os.environ.get("NODE_EXTRA_CA_CERTS")
            bundle.write_text((self.folder / "ca.pem").read_text() + (pathlib.Path(before).read_text() if before else ""))
        # make's GOWORK is the workspace of the repository, not of the copy that is deployed from.
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and k != "GOWORK"}
        return kept | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,  # the local AWS takes the account from it
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CA_BUNDLE": str(self.folder / "ca.pem"),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "ACCOUNT": ACCOUNT,  # README's own, for bootstrap
            "NODE_EXTRA_CA_CERTS": str(bundle),
            "CDK_DISABLE_VERSION_CHECK": "1",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
            "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": "true",
        }

    @contextlib.contextmanager
    def running(self):
        ca, tmp = str(self.folder / "ca.pem"), self.folder / "tmp"
        tmp.mkdir()
        # Nothing of the caller's environment: functions would see all of it.
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TMPDIR": str(tmp),
            "STATE_DIR": str(self.folder / "state"),
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "AUTH": "true",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(self.folder / "server.pem"),
            "MINISTACK_SSL_KEY": str(self.folder / "server.key"),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # Its functions get these from it.
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CA_BUNDLE": ca,
            "SSL_CERT_FILE": ca,
        }
        with self.log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(pathlib.Path(__file__).with_name("cloud.py"))],
                env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )
        try:
            self.await_ready(process)
            yield
        finally:
            self.stop(process)

    def await_ready(self, process):
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(self.url + "/_ministack/health", context=context, timeout=5):
                    return
            except (urllib.error.URLError, OSError) as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Failure(f"start the local AWS: {error}\n{self.log.read_text()}") from error
                time.sleep(0.1)

    @staticmethod
    def stop(process):
        """Ends the local AWS and every function it started: its whole process group."""
        for kind, patience in (signal.SIGTERM, 5), (signal.SIGKILL, 5):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, kind)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)


class Client:
    """The services that the test asks."""

    def __init__(self, cloud: Cloud):
        session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="test", region_name=REGION)
        config = botocore.config.Config(read_timeout=180, retries={"max_attempts": 0})

        def service(name):
            return session.client(name, endpoint_url=cloud.url, verify=str(cloud.folder / "ca.pem"), config=config)

        self.s3, self.functions, self.stacks = service("s3"), service("lambda"), service("cloudformation")
        self.iam, self.logs, self.ec2, self.kms = service("iam"), service("logs"), service("ec2"), service("kms")
        self.states = service("stepfunctions")

    def invoke(self, function: str, bucket: str, folder="objects/", find=None):
        event = {"s3_bucket_name": bucket, "folder": folder, "find": find}
        answer = self.functions.invoke(FunctionName=function, Payload=json.dumps(event), LogType="Tail")
        log = base64.b64decode(answer.get("LogResult", "")).decode()
        return json.loads(answer["Payload"].read()), answer.get("FunctionError"), log

    def keys(self, bucket: str, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def pages(self, client, operation, key, **arguments):
        return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page[key]]

    def inventory(self) -> dict[str, list[str]]:
        """Everything a stack of ours can have made. What CDK's own bootstrap published is its own."""
        gone = "DELETE_COMPLETE"
        buckets = [b["Name"] for b in self.s3.list_buckets()["Buckets"]]
        return {
            "stacks": [s["StackName"] for s in self.pages(self.stacks, "list_stacks", "StackSummaries") if s["StackStatus"] != gone],
            "buckets": buckets,
            "objects": [f"{b}: {len(self.keys(b))}" for b in buckets if not b.startswith("cdk-")],
            "functions": [f["FunctionName"] for f in self.pages(self.functions, "list_functions", "Functions")],
            "roles": [r["RoleName"] for r in self.pages(self.iam, "list_roles", "Roles")],
            "policies": [p["PolicyName"] for p in self.pages(self.iam, "list_policies", "Policies", Scope="Local")],
            "log groups": [g["logGroupName"] for g in self.pages(self.logs, "describe_log_groups", "logGroups")],
            "security groups": [g["GroupId"] for g in self.ec2.describe_security_groups()["SecurityGroups"]],
            "vpcs": [v["VpcId"] for v in self.ec2.describe_vpcs()["Vpcs"]],
            "state machines": [m["name"] for m in self.pages(self.states, "list_state_machines", "stateMachines")],
        }


def show(title: str, inventory: dict[str, list[str]]):
    print(f"inventory {title}")
    for kind, names in inventory.items():
        print(f"  {kind:16}{len(names):3}  {' '.join(sorted(names))}")


class Test:
    def __init__(self, cloud: Cloud, work: pathlib.Path, sabotage: bool, without: list[str], stages: list[str]):
        self.environment, self.client, self.step = cloud.environment(), Client(cloud), 0
        self.folder, self.work, self.sabotage = cloud.folder, work, sabotage
        self.without, self.stages = without, stages
        self.out = cloud.folder / "cdk.out"  # templates of the test's own commands

    def run(self, command: str, fails=False) -> str:
        """Runs one line as a person would; its output is shown only if it ends in another way than it should."""
        self.step += 1
        began = time.monotonic()
        print(f"$ {command}", flush=True)
        log = self.folder / f"step-{self.step}.log"
        with log.open("w") as f:
            process = subprocess.run(
                ["bash", "-c", command], cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=f, stderr=subprocess.STDOUT, timeout=COMMAND_TIMEOUT,
            )
        output = log.read_text()
        print(f"  {process.returncode} after {time.monotonic() - began:.1f} s", flush=True)
        if (process.returncode != 0) != fails:
            print(output[-6000:])
            raise Failure(f"{command}: exit code {process.returncode}")
        return output

    # A template of the test's own is deployed as it was synthesised, from what was built before.
    def synth(self, context=""):
        shutil.rmtree(self.out, ignore_errors=True)
        self.run(f"npx cdk synth -q --build true -o {self.out} {context}")

    def cdk(self, command: str, fails=False) -> str:
        return self.run(f"npx cdk --app {self.out} --build true {command}", fails)

    def cycle(self, lines: list[str]):
        before = None
        for line in lines:
            if re.search(r"\bdestroy\b", line):
                if not self.sabotage:
                    self.between()
                with stage("destroy"):
                    self.destroy(line, before)
                continue
            name = next((word for word in ("bootstrap", "deploy", "build", "run") if re.search(rf"\b{word}\b", line)), line)
            if name == "run" and self.stages:
                continue
            with stage(name):
                self.run(line)
                if re.search(r"\bbootstrap\b", line):
                    check(not (self.work / "build").exists(), "bootstrap builds nothing")
                    before = self.client.inventory()
                    show("before the stack", before)
                elif re.search(r"\bdeploy\b", line):
                    self.look_at_outputs()
        if before is None or not any("destroy" in line for line in lines):
            raise Failure('the section "Deploy" has no bootstrap or no destroy')

    def look_at_outputs(self):
        self.outputs = json.loads((self.work / "build/outputs.json").read_text())[STACK]
        self.bucket = self.outputs["Bucket"]
        self.arns = {name: arn for name, arn in self.outputs.items() if name.endswith("Arn")}
        check(len(self.arns) == 12 and self.outputs["Region"] == REGION, "12 functions, a bucket and the region in the outputs")
        check(len(self.client.keys(self.bucket, "objects/")) == OBJECTS, f"{OBJECTS} seed objects in {self.bucket}")

    def between(self):
        """What is looked at while the stack stands."""
        for look in (
            self.invoke_all, self.refuse_foreign_buckets, self.update, self.keep_foreign_objects, self.change_the_kind_of_bucket,
            self.empty_the_bucket, self.bring_a_bucket, self.find_a_vpc, self.bring_a_contender, self.deploy_a_scan,
        ):
            if self.stages and look.__name__ not in self.stages:
                continue
            with stage(look.__name__.replace("_", " ")):
                look()

    def invoke_all(self):
        seen = {"digest": set(), "bytes": set(), "key": set()}
        for name, arn in self.arns.items():
            config = self.client.functions.get_function_configuration(FunctionName=arn)
            expected = f"Fetch{config['MemorySize']}{ {'arm64': 'Arm', 'x86_64': 'X86'}[config['Architectures'][0]] }Arn"
            answer, error, log = self.client.invoke(arn, self.bucket)
            if error or answer["result"] != str(OBJECTS) or answer["stats"]["objects"] != OBJECTS:
                raise Failure(f"{name}: {error} {answer}\n{log}")
            found, error, log = self.client.invoke(arn, self.bucket, find=NEEDLE)
            if error or not found["result"].startswith("objects/"):
                raise Failure(f"{name} looked for {NEEDLE}: {error} {found}\n{log}")
            seen["digest"].add(answer["stats"]["digest"])
            seen["bytes"].add(answer["stats"]["bytes"])
            seen["key"].add(found["result"])
            report = [json.loads(line) for line in log.splitlines() if '"platform.report"' in line]
            if name != expected or len(report) != 1 or report[0]["record"]["metrics"]["memorySizeMB"] != config["MemorySize"]:
                raise Failure(f"{name}: is {expected}, log {log}")
        check(all(len(values) == 1 for values in seen.values()), f"all 12 functions read the same {seen['bytes']} bytes, digest and needle")

    def make_foreign_bucket(self):
        if "foreign" in self.buckets():
            return
        self.client.s3.create_bucket(Bucket="foreign", CreateBucketConfiguration={"LocationConstraint": REGION})
        for key in "objects/a", "objects/b", "private/c":
            self.client.s3.put_object(Bucket="foreign", Key=key, Body=b"nothing of ours")

    def refuse_foreign_buckets(self):
        self.make_foreign_bucket()
        arn = self.arns["Fetch128X86Arn"]
        answer, error, _ = self.client.invoke(arn, "foreign")
        refused = error and answer["errorType"] == "AccessDenied"
        check(refused, f"a function's role is refused a foreign bucket: {answer.get('errorMessage')}")
        self.client.s3.put_object(Bucket=self.bucket, Key="private/c", Body=b"not a seed object")
        answer, error, _ = self.client.invoke(arn, self.bucket, folder="private/")
        check(error and answer["errorType"] == "AccessDenied", f"... and what lies beside the prefix: {answer.get('errorMessage')}")
        self.client.s3.delete_object(Bucket=self.bucket, Key="private/c")

    def update(self):
        self.synth("-c objects=150")
        self.cdk("diff --fail", fails=True)
        self.cdk(f"deploy {STACK} --require-approval never")
        answer, error, _ = self.client.invoke(self.arns["Fetch1769ArmArn"], self.bucket)
        check(not error and answer["result"] == "150", "an update leaves 150 objects, and a function counts them")

    def status(self, stack=STACK) -> str:
        stacks = self.client.pages(self.client.stacks, "describe_stacks", "Stacks", StackName=stack)
        return stacks[0]["StackStatus"]

    def outputs_of(self, stack: str) -> dict[str, str]:
        (described,) = self.client.stacks.describe_stacks(StackName=stack)["Stacks"]
        return {o["OutputKey"]: o["OutputValue"] for o in described["Outputs"]}

    def deploy(self, context: str, fails=False, stack=STACK) -> str:
        self.synth(context)
        return self.cdk(f"deploy {stack} --require-approval never", fails)

    def keep_foreign_objects(self):
        """Somebody's objects in five places stay where and what they are, whatever becomes of an update."""
        s3, foreign = self.client.s3, {
            "mine.txt": b"beside every prefix",
            "objects/mine.txt": b"among the seed objects",
            "objects/object-000003": b"in the place of a seed object",
            "other/mine.txt": b"where the objects are to go",
            "objects/deeper/object-000001": b"in a folder below, under a name that a seed object might have",
        }
        seed = s3.get_object(Bucket=self.bucket, Key="objects/object-000003")["Body"].read()
        foreign["objects/object-000003"] = bytes(reversed(seed))  # as long as the seed object, too

        def all_there(when: str):
            found = {key: s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in foreign}
            check(found == foreign, f"{len(foreign)} foreign objects, bytes compared, {when}")

        for key in "mine.txt", "other/mine.txt":
            s3.put_object(Bucket=self.bucket, Key=key, Body=foreign[key])
        output = self.deploy("-c objects=150 -c prefix=other/", fails=True)
        check("other/mine.txt is in the way" in output, "a prefix where somebody's object is is refused, with its name")
        check(self.status() == "UPDATE_ROLLBACK_COMPLETE", f"the stack is {self.status()}")
        answer, error, _ = self.client.invoke(self.arns["Fetch1769ArmArn"], self.bucket)
        check(not error and answer["result"] == "150", "its 150 objects are where they were, and a function counts them")

        for key, body in foreign.items():
            s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        output = self.deploy("-c objects=160", fails=True)
        check("objects/mine.txt" in output and "are in the way" in output, "so is a change of the objects among which there are others")
        check(self.status() == "UPDATE_ROLLBACK_COMPLETE", f"the stack is {self.status()}")
        all_there("after two updates that were refused")

        self.deploy("-c objects=150 -c prefix=third/")
        all_there("after an update that moved the seed objects")
        left = [key for key in self.client.keys(self.bucket, "objects/") if key not in foreign]
        moved = [key for key in self.client.keys(self.bucket, "third/") if key not in foreign]
        right = (len(left), len(moved)) == (0, 150)
        check(right, f"of the seed objects {len(left)} are where they were and {len(moved)} where they belong")

        output = self.cdk(f"destroy {STACK} --force", fails=True)
        reason = self.failure_of("SeedObjects")
        check("mine.txt" in reason and "Nothing was deleted" in reason, f"destroy is refused: {reason[:200]}...")
        all_there("after a destroy that was refused")
        check(self.status() == "DELETE_FAILED", f"the stack is {self.status()}")
        for key in foreign:
            s3.delete_object(Bucket=self.bucket, Key=key)
        self.cdk(f"destroy {STACK} --force")
        # What comes next wants the stack as README has it.
        self.synth()
        self.cdk(f"deploy {STACK} --require-approval never --outputs-file {self.work}/build/outputs.json")
        self.look_at_outputs()
        self.cdk("diff --fail")
        check(True, "no difference from the template of the repository")

    def failure_of(self, resource: str, stack=STACK) -> str:
        """The last reason that a stack's events have for the failure of a resource."""
        stacks = [s["StackId"] for s in self.client.pages(self.client.stacks, "list_stacks", "StackSummaries") if s["StackName"] == stack]
        ask = "describe_stack_events", "StackEvents"
        events = [e for stack in stacks for e in self.client.pages(self.client.stacks, *ask, StackName=stack)]
        failed = [e for e in events if e["LogicalResourceId"] == resource and e["ResourceStatus"].endswith("_FAILED")]
        if not failed:
            raise Failure(f"no failure of {resource} in the events: {[(e['LogicalResourceId'], e['ResourceStatus']) for e in events[:20]]}")
        return max(failed, key=lambda e: e["Timestamp"]).get("ResourceStatusReason", "")

    def buckets(self) -> list[str]:
        return [b["Name"] for b in self.client.s3.list_buckets()["Buckets"]]

    def change_the_kind_of_bucket(self):
        """A key of one's own calls for another bucket: the old one goes, with its objects and whoever put them."""
        key = self.client.kms.create_key(Description="e2e")["KeyMetadata"]["Arn"]
        before = self.bucket
        self.deploy(f"-c objects=40 -c bucketKey={key}")
        after = self.outputs_of(STACK)["Bucket"]
        names = self.buckets()
        check(before not in names and after in names, f"a bucket with a key takes the place of the one without: {after}")
        head = self.client.s3.head_object(Bucket=after, Key="objects/object-000000")
        check(head.get("ServerSideEncryption") == "aws:kms" and head.get("SSEKMSKeyId") == key, "its objects are encrypted with that key")
        arn = self.outputs_of(STACK)["Fetch1769ArmArn"]
        answer, error, _ = self.client.invoke(arn, after)
        check(not error and answer["result"] == "40", "a function reads them")
        self.deploy("-c objects=40")
        self.bucket = self.outputs_of(STACK)["Bucket"]
        check(after not in self.buckets() and len(self.client.keys(self.bucket, "objects/")) == 40, "and back again")
        self.client.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

    def empty_the_bucket(self):
        """With emptyBucket=true a destroy takes away what others put into the stack's own bucket."""
        name = "Emptied"
        only = f"-c stackName={name} -c memories=128 -c architectures={tools.architecture()}"
        self.deploy(f"{only} -c objects=5", stack=name)
        bucket = self.outputs_of(name)["Bucket"]
        self.client.s3.put_object(Bucket=bucket, Key="objects/mine.txt", Body=b"mine")
        # To say so is an update of its own, which must not be refused for the objects that it is about.
        self.deploy(f"{only} -c objects=5 -c emptyBucket=true", stack=name)
        self.cdk(f"destroy {name} --force")
        check(bucket not in self.buckets(), "with emptyBucket=true the bucket goes with all in it")

    def bring_a_bucket(self):
        """A second stack beside the first, on a bucket that is not its own, encrypted with a key that is neither."""
        self.make_foreign_bucket()
        key = self.client.kms.create_key(Description="e2e")["KeyMetadata"]["Arn"]
        bucket = {"Bucket": "foreign"}
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}, "BucketKeyEnabled": True}
        self.client.s3.put_bucket_encryption(**bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        self.client.s3.put_object(**bucket, Key="data/encrypted", Body=b"by a key of somebody's")
        before = self.client.keys("foreign")
        only = f"-c stackName=Second -c functionsOnly=true -c bucketName=foreign -c memories=512 -c architectures={tools.architecture()}"
        self.deploy(only, stack="Second")
        function = next(arn for name, arn in self.outputs_of("Second").items() if name.endswith("Arn"))
        answer, error, _ = self.client.invoke(function, "foreign", folder="")
        check(error and "kms:Decrypt" in answer["errorMessage"], f"without bucketKey it is refused the key: {answer.get('errorMessage')}")
        self.deploy(f"{only} -c bucketKey={key}", stack="Second")
        answer, error, _ = self.client.invoke(function, "foreign", folder="")
        right = not error and answer["result"] == str(len(before))
        check(right, f"a second stack reads all {len(before)} objects of the bucket that was brought along")
        head = self.client.s3.head_object(**bucket, Key="data/encrypted")
        check(head.get("SSEKMSKeyId") == key, "one of them encrypted with a KMS key")
        self.cdk("destroy Second --force")
        check(self.client.keys("foreign") == before, "... and leaves it as it was")
        for object_key in before:
            self.client.s3.delete_object(**bucket, Key=object_key)
        self.client.s3.delete_bucket(**bucket)
        self.client.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

    def find_a_vpc(self):
        """The private subnets of a VPC that is there are looked up by the CDK, with its look-up role's rights."""
        ec2, name = self.client.ec2, "Networked"
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
        table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
        only = f"-c stackName={name} -c memories=128 -c architectures={tools.architecture()} -c objects=5"
        self.deploy(f"{only} -c vpcId={vpc}", stack=name)
        # MiniStack does not keep a function's VPC: the template has to do.
        template = json.loads((self.out / f"{name}.template.json").read_text())
        networks = [r["Properties"].get("VpcConfig", {}) for r in template["Resources"].values() if r["Type"] == "AWS::Lambda::Function"]
        check([subnet] in [n.get("SubnetIds") for n in networks], f"a function is in {subnet} of {vpc}, which was looked up")
        self.cdk(f"destroy {name} --force")
        ec2.disassociate_route_table(AssociationId=association)
        ec2.delete_route_table(RouteTableId=table)
        ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)

    def bring_a_contender(self):
        """Go, Python in a managed runtime and Rust in one stack, on this machine's architecture: the same contract, so the
        same answers. The local AWS runs Python with its own interpreter, whatever the version's name."""
        arch, python = tools.architecture(), self.folder / "python.zip"
        with zipfile.ZipFile(python, "w") as package:
            package.write(pathlib.Path(__file__).with_name("contender.py"), "app/contender.py")
        contenders = {"go": "", "python": "Python"}
        more = f"-c contenderZip.python={python} -c contenderRuntime.python=python3.13 -c contenderHandler.python=app/contender.handler"
        if "rust" in self.without:
            print("  --  no Rust contender: --without rust")
        else:
            package = ROOT / f"build/rust-{arch}.zip"
            if not package.exists():
                raise Failure(f"{package} is not there: make rust, or e2e.py --without rust")
            contenders["rust"] = "Rust"
            more += f" -c contenderZip.rust={package}"
        only = (
            f"-c stackName=Contenders -c functionsOnly=true -c bucketName={self.bucket} -c prefix=objects/ -c memories=512 "
            f"-c architectures={arch} -c contenders={','.join(contenders)} {more}"
        )
        # Refused before anything is deployed: Lambda would say so at the first invocation.
        output = self.run(f"npx cdk synth -q --build true -o {self.out} {only} -c contenderHandler.python=app.contender", fails=True)
        check("handler app.contender: no app.py" in output, "a handler that is not in its package is refused")
        self.deploy(only, stack="Contenders")
        outputs, place = self.outputs_of("Contenders"), {"arm64": "Arm", "x86_64": "X86"}[arch]
        answers = {}
        for lang, name in contenders.items():
            function = outputs[f"Fetch512{place}{name}Arn"]
            answers[lang] = []
            for find in None, NEEDLE:
                answer, error, log = self.client.invoke(function, self.bucket, find=find)
                if error or answer["lang"] != lang:
                    raise Failure(f"{lang}: {error} {answer}\n{log}")
                answers[lang].append(answer["result"])
                if lang != "python":  # whose client counts nothing
                    answers[lang].append([answer["stats"]["objects"], answer["stats"]["digest"]])
        config = self.client.functions.get_function_configuration(FunctionName=outputs[f"Fetch512{place}PythonArn"])
        runs = config["Runtime"], config["Handler"]
        check(runs == ("python3.13", "app/contender.handler"), f"the contender in Python is deployed to {' with '.join(runs)}")
        counts, first = answers["go"][0], answers["go"][2]
        there = first in self.client.keys(self.bucket, "objects/")
        check(there and answers["python"] == [counts, first], f"... and gives the answers of Go's: {answers['python']}")
        if "rust" in contenders:
            check(answers["go"] == answers["rust"], f"the Rust contender gives the answers of Go's: {answers['rust']}")
        self.cdk("destroy Contenders --force")

    def rights(self, role: str) -> dict[str, set[str]]:
        """What a role's own policies allow, as they were deployed: resources by action."""
        allowed: dict[str, set[str]] = {}
        for name in self.client.iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = self.client.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in document["Statement"]:
                actions, resources = (v if isinstance(v, list) else [v] for v in (statement["Action"], statement["Resource"]))
                for action in actions:
                    allowed.setdefault(action, set()).update(resources)
        return allowed

    def deploy_a_scan(self):
        """The state machine of a scan over a bucket that is there. It is looked at as it was deployed, and not run: the
        local AWS' engine knows no batches."""
        s3, name, arch = self.client.s3, "Scanning", tools.architecture()
        only = (
            f"-c stackName={name} -c functionsOnly=true -c bucketName={self.bucket} -c prefix=objects/ -c memories=128,512 "
            f"-c architectures={arch} -c scan=true -c scanMemory=512 -c scanInventory=s3://inventories/daily/"
        )
        before = self.client.inventory()
        self.deploy(only, stack=name)
        outputs = self.outputs_of(name)
        arn, results = outputs["ScanStateMachineArn"], outputs["ScanResultsBucket"]
        function = outputs[f"Fetch512{ {'arm64': 'Arm', 'x86_64': 'X86'}[arch] }Arn"]
        check(results in self.buckets() and results != self.bucket, f"a state machine and a bucket for results in the outputs: {arn}")

        machine = self.client.states.describe_state_machine(stateMachineArn=arn)
        text = (ROOT / "functions/scan/scan.asl.json").read_text()
        for variable, value in ("FetchFunction", function), ("Partition", "aws"), ("ExecutionType", "EXPRESS"):
            text = text.replace("${" + variable + "}", value)
        check(machine["definition"] == text and "${" not in text, "its definition is the text of the repository, filled in")
        check(machine["type"] == "STANDARD" and machine["status"] == "ACTIVE", "it is a standard state machine")
        config = self.client.functions.get_function_configuration(FunctionName=function)
        check(config["Timeout"] == 900 and config["MemorySize"] == 512, "its function has 512 MB, and the time for a merge")

        rights, jobs = self.rights(machine["roleArn"].rsplit("/", 1)[1]), {f"arn:aws:s3:::{results}/jobs/*"}
        executions = arn.replace(":stateMachine:", ":execution:")
        labels = {f"{executions}/{label}:*" for label in ("ReadListing", "ReadInventory")}
        expected = {
            "s3:ListBucket": {f"arn:aws:s3:::{self.bucket}"},
            "s3:GetObject": {"arn:aws:s3:::inventories/daily/*"} | jobs,
            "s3:PutObject": jobs, "s3:AbortMultipartUpload": jobs, "s3:ListMultipartUploadParts": jobs,
            "lambda:InvokeFunction": {function},
            "states:StartExecution": {arn},
            "states:DescribeExecution": {executions + ":*"} | labels, "states:StopExecution": {executions + ":*"} | labels,
            "states:RedriveExecution": labels,
            "states:DescribeMapRun": {arn.replace(":stateMachine:", ":mapRun:") + "/*"},
        }
        logs = {action: on for action, on in rights.items() if action.startswith("logs:")}
        others = {action: on for action, on in rights.items() if action not in logs}
        right = others == expected and set().union(*logs.values()) == {"*"}
        check(right, f"its role has these rights, beside those to its log, and no others: {', '.join(sorted(others))}")
        may = self.rights(config["Role"].rsplit("/", 1)[1])
        check(may["s3:PutObject"] == jobs, "the function may write results, and nothing else")

        self.scan_by_hand(function, results)
        for key in "jobs/one/acks/1/manifest.json", "mine.txt":
            s3.put_object(Bucket=results, Key=key, Body=b"{}")
        written = self.client.keys(results)
        self.cdk(f"destroy {name} --force", fails=True)
        reason = self.failure_of("Results", name)
        check("mine.txt" in reason and "Nothing was deleted" in reason, f"destroy is refused for what is not a result: {reason[:200]}...")
        check(self.client.keys(results) == written, f"... and all {len(written)} objects are where they were")
        s3.delete_object(Bucket=results, Key="mine.txt")
        self.cdk(f"destroy {name} --force")
        after = self.client.inventory()
        check(after == before, "a second destroy takes the results away, and leaves nothing")

    def scan_by_hand(self, function: str, results: str):
        """Asks the function what the state machine would, with the function's own rights: batches, and to merge them."""

        def invoke(payload):
            answer = self.client.functions.invoke(FunctionName=function, Payload=json.dumps(payload))
            return json.loads(answer["Payload"].read()), answer.get("FunctionError")

        keys = self.client.keys(self.bucket, "objects/")
        event = {"s3_bucket_name": self.bucket, "find": NEEDLE, "on_error": "continue"}
        job = {"job": "one", "results": {"bucket": results}, "event": event}
        middle = len(keys) // 2
        for batch in keys[:middle], keys[middle:]:
            ack, error = invoke({"BatchInput": job, "Items": [{"Key": key} for key in batch]})
            if error or ack["objects"] != len(batch) or ack["errors"]:
                raise Failure(f"read a batch of {len(batch)} keys: {error} {ack}")
        parts = self.client.keys(results, "jobs/one/parts/")
        check(len(parts) == 2, f"the function wrote two parts: {', '.join(parts)}")
        merged, error = invoke({"merge": {**job, "total": len(keys)}})
        first, _, _ = self.client.invoke(function, self.bucket, find=NEEDLE)
        right = not error and merged["objects"] == len(keys) and first["result"] in json.dumps(merged)
        check(right, f"... and merged them: {json.dumps(merged)[:200]}...")
        answer, error = invoke({"BatchInput": {**job, "results": {"bucket": self.bucket}}, "Items": [{"Key": keys[0]}]})
        check(error and "AccessDenied" in json.dumps(answer), f"it is refused to write into the bucket that it reads: {answer}")

    def destroy(self, line: str, before):
        try:
            self.run(line)
        except Failure as failure:
            show("after a destroy that failed", self.client.inventory())
            raise LeftBehind(str(failure)) from failure
        after = self.client.inventory()
        show("after", after)
        if after != before:
            left = {kind: sorted(set(names) - set(before[kind])) for kind, names in after.items() if names != before[kind]}
            raise LeftBehind(f"left behind: {left}")
        check(True, "nothing is left of the stack")


def sabotage(folder: pathlib.Path, work: pathlib.Path) -> str:
    """Gives GOFLAGS that build a seeder whose delete answers without deleting anything."""
    source = work / "functions/cmd/seed/seed.go"
    right, wrong = "s.store.remove(ctx, bucket, specsOf(properties), at.deleted)", "error(nil)"
    text = source.read_text()
    if text.count(right) != 1:
        raise Failure(f"{source}: no longer has {right!r} once; teach the sabotage what to break")
    broken, overlay = folder / "seed.go", folder / "overlay.json"
    broken.write_text(text.replace(right, wrong))
    overlay.write_text(json.dumps({"Replace": {str(source): str(broken)}}))
    return f"-overlay={overlay}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readme", type=pathlib.Path, help='the file with the section "Deploy"')
    parser.add_argument("--sabotage", action="store_true", help="break the seeder's delete")
    parser.add_argument("--without", action="append", default=[], choices=["rust"], help="leave out what takes long to build")
    parser.add_argument("--stage", action="append", default=[], metavar="NAME", help="of those between deploy and destroy only this one")
    parser.add_argument("--keep", action="store_true", help="keep the logs, even if nothing failed")
    options = parser.parse_args()

    folder, failure = pathlib.Path(tempfile.mkdtemp(prefix="fanout-e2e-")), None
    try:
        if missing := tools.missing():
            raise Failure("; ".join(missing))
        lines = deploy_lines(options.readme)
        with contextlib.ExitStack() as running:
            with stage("start the local AWS"):
                work = copy_repository(folder / "repository")
                cloud = Cloud(folder)
                running.enter_context(cloud.running())
            test = Test(cloud, work, options.sabotage, options.without, options.stage)
            if options.sabotage:
                test.environment["GOFLAGS"] = (os.environ.get("GOFLAGS", "") + " " + sabotage(folder, work)).strip()
            test.cycle(lines)
    except (Failure, subprocess.TimeoutExpired) as error:
        failure = error
    stage.show()
    if failure:
        print(f"error: {failure}\nhint: the commands' output and the local AWS's log are in {folder}", file=sys.stderr)
        return getattr(failure, "code", EXIT_FAILED)
    if not options.keep:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
