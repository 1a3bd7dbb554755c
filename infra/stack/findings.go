package stack

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// findings are checks of cfn-lint, checkov and cdk-nag that a resource is known
// to fail, each with the reason why that is right here. A check of cdk-nag that
// finds several things has the one that is meant in brackets, as cdk-nag does:
// AwsSolutions-IAM5[Resource::*].
type findings map[string]string

// accept writes the reasons beside the resource in the template, where the
// three tools look for them.
func (f findings) accept(r awscdk.CfnResource) {
	var checkov, nag []any
	var ignore, reasons []string
	for _, id := range slices.Sorted(maps.Keys(f)) {
		switch {
		case strings.HasPrefix(id, "CKV"):
			checkov = append(checkov, properties{"id": id, "comment": f[id]})
		case strings.HasPrefix(id, "AwsSolutions-"):
			check, what, several := strings.Cut(strings.TrimSuffix(id, "]"), "[")
			rule := properties{"id": check, "reason": f[id]}
			if several {
				rule["applies_to"] = list{what}
			}
			nag = append(nag, rule)
		default:
			ignore, reasons = append(ignore, id), append(reasons, id+": "+f[id])
		}
	}
	if checkov != nil {
		r.AddMetadata(jsii.String("checkov"), properties{"skip": checkov})
	}
	if nag != nil {
		r.AddMetadata(jsii.String("cdk_nag"), properties{"rules_to_suppress": nag})
	}
	if ignore != nil {
		r.AddMetadata(jsii.String("cfn-lint"), properties{
			"config": properties{"ignore_checks": texts(ignore)}, "comment": strings.Join(reasons, "; "),
		})
	}
}
