#!/bin/bash
# Runs cfn-lint and checkov on the template of every combination of flags. A
# finding that is right as it is has its reason beside it: in infra/stack, from
# where it gets into the template's metadata.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20 AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED=true
printf '#!/bin/sh\n' >"$out/bootstrap"
.venv/lint/bin/python -m zipfile -c "$out/contender.zip" "$out/bootstrap"
build=()
for vpc in false true; do
	while read -r name flags; do
		# The first one builds the app, the others take what it built.
		# shellcheck disable=SC2086 # flags are words
		npx cdk synth -q "${build[@]}" -o "$out/$name-vpc-$vpc" -c vpc=$vpc $flags
		build=(--build true)
	done <<-END
		bucket
		express -c express=true -c zone=use1-az4
		brought -c functionsOnly=true -c bucketName=mine
		contenders -c contenders=go,other -c contenderZip.other.x86_64=$out/contender.zip
		brought-express -c functionsOnly=true -c bucketName=mine--use1-az4--x-s3
	END
done

templates=("$out"/*/Fanout.template.json)
.venv/lint/bin/cfn-lint --non-zero-exit-code informational --regions us-east-1 eu-central-1 -- "${templates[@]}"
.venv/lint/bin/checkov --quiet --compact --framework cloudformation --skip-download "${templates[@]/#/--file=}"
echo "${#templates[@]} templates, no finding that is not explained"
