// Checks the definitions of the state machines in synthesised templates, as
// CloudFormation fills them in:
//
//     node asl.mjs TEMPLATE...
//
// It finds what Step Functions would refuse at the deployment: a field that there
// is not, a state that leads nowhere, two states of one name.
import { readFileSync } from 'node:fs';

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('error: no template named\nhint: make template-lint names those of all flag combinations');
  process.exit(2);
}
const { default: validate } = await import('asl-validator').catch((error) => {
  console.error(`error: load asl-validator: ${error.message}\nhint: npm ci --prefix infra/lint/asl`);
  process.exit(1);
});

// What CloudFormation would put in for a reference.
function filled(value) {
  if (typeof value === 'string') return value;
  if (value.Ref === 'AWS::Partition') return 'aws';
  const [id] = value['Fn::GetAtt'];
  return `arn:aws:lambda:us-east-1:111111111111:function:${id}`;
}

let bad = 0;
let checked = 0;
for (const file of files) {
  for (const [id, { Type, Properties }] of Object.entries(JSON.parse(readFileSync(file, 'utf8')).Resources)) {
    if (Type !== 'AWS::StepFunctions::StateMachine') continue;
    checked++;
    let text = Properties.DefinitionString;
    for (const [name, value] of Object.entries(Properties.DefinitionSubstitutions)) {
      text = text.replaceAll(`\${${name}}`, filled(value));
    }
    const result = validate(JSON.parse(text));
    if (result.isValid && !text.includes('${')) continue;
    bad++;
    console.error(`${file}: ${id}: ${result.errorsText('\n') || 'something is left to fill in'}`);
  }
}
if (checked === 0) {
  bad++;
  console.error(`error: no state machine in ${files.length} templates`);
}
console.log(`asl-validator: ${checked} state machines, ${bad} with findings`);
process.exit(bad === 0 ? 0 : 1);
