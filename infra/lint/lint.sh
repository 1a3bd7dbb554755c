#!/bin/bash
# Runs cfn-lint, checkov and cdk-nag on the template of every combination of
# flags, and asl-validator on the state machines in them. A finding that is right as it is has its reason beside it: in
# infra/stack, from where it gets into the template's metadata.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20 go test -count=1 -run '^TestNothingStays$' ./infra/stack -templates "$out"
templates=("$out"/*.template.json)
.venv/lint/bin/cfn-lint --non-zero-exit-code informational --regions us-east-1 eu-central-1 -- "${templates[@]}"
.venv/lint/bin/checkov --quiet --compact --framework cloudformation --skip-download "${templates[@]/#/--file=}"
node infra/lint/nag/nag.mjs "${templates[@]}"
node infra/lint/asl/asl.mjs "${templates[@]}"
echo "${#templates[@]} templates, no finding that is not explained"
