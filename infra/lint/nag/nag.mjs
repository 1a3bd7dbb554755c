// Runs cdk-nag's AwsSolutions checks on synthesised templates:
//
//     node nag.mjs TEMPLATE...
//
// A finding that is right as it is has its reason in the resource's metadata,
// in the form that cdk-nag 2 reads: cdk_nag.rules_to_suppress, with applies_to
// for a check that finds several things. A reason for what is no longer found
// is a finding, too.
import { readFileSync } from 'node:fs';
import { App, Stack } from 'aws-cdk-lib';
import { CfnInclude } from 'aws-cdk-lib/cloudformation-include';
import { AwsSolutionsChecks } from 'cdk-nag';

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('error: no template named\nhint: make template-lint names those of all flag combinations');
  process.exit(2);
}

// One finding's check and what exactly it found: AwsSolutions-IAM5 and
// Resource::<Bucket.Arn>/*, of AwsSolutions-IAM5[Resource::<Bucket.Arn>/*].
function parts(rule) {
  const bracket = rule.indexOf('[');
  return bracket < 0 ? [rule, undefined] : [rule.slice(0, bracket), rule.slice(bracket + 1, -1)];
}

let bad = 0;
let accepted = 0;
for (const file of files) {
  const stack = new Stack(new App(), 'Stack');
  const template = new CfnInclude(stack, 'Template', { templateFile: file });
  const unused = new Set();
  for (const [id, resource] of Object.entries(JSON.parse(readFileSync(file, 'utf8')).Resources)) {
    for (const rule of resource.Metadata?.cdk_nag?.rules_to_suppress ?? []) {
      for (const what of rule.applies_to ?? [undefined]) unused.add(JSON.stringify([id, rule.id, what]));
    }
  }
  for (const violation of new AwsSolutionsChecks().validateScope(template).violations) {
    for (const { constructPath } of violation.violatingResources) {
      const id = constructPath.split('/').pop();
      const finding = JSON.stringify([id, ...parts(violation.ruleName)]);
      if (unused.delete(finding)) {
        accepted++;
      } else {
        bad++;
        console.error(`${file}: ${id}: ${violation.ruleName}: ${violation.description}`);
      }
    }
  }
  for (const reason of unused) {
    bad++;
    console.error(`${file}: a reason for what is not found: ${reason}`);
  }
}
console.log(`cdk-nag: ${files.length} templates, ${accepted} findings with a reason, ${bad} without`);
process.exit(bad === 0 ? 0 : 1);
