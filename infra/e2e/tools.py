"""Says which of the end-to-end test's tools are not there, before anything takes long. Needs nothing but Python."""

import platform
import shutil
import subprocess
import sys

MIN_NODE = 20  # what the CDK starts with; it warns below 22


def architecture() -> str:
    """This machine's, by Lambda's name."""
    return {"aarch64": "arm64"}.get(platform.machine(), platform.machine())


def missing() -> list[str]:
    """A line for each tool that is not there, with where it comes from."""
    wanted = [("go", "https://go.dev"), ("node", "https://nodejs.org"), ("npx", "https://nodejs.org"), ("git", "apt-get install git")]
    wanted += [("make", "apt-get install make"), ("bash", "apt-get install bash")]
    if architecture() != "arm64":  # whose bootstraps, the seeder's for one, run under it
        wanted.append(("qemu-aarch64-static", "apt-get install qemu-user-static"))
    if architecture() != "x86_64":
        wanted.append(("qemu-x86_64-static", "apt-get install qemu-user-static"))
    lines = [f"{tool} not found: {source}" for tool, source in wanted if not shutil.which(tool)]
    if shutil.which("node"):
        version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
        if int(version.lstrip("v").split(".")[0]) < MIN_NODE:
            lines.append(f"node {version}: the CDK needs {MIN_NODE}, and should have 22: https://nodejs.org")
    return lines


if __name__ == "__main__":
    lines = missing()
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if lines else 0)
