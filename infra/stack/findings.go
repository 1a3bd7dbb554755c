package stack

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

// findings are checks of cfn-lint, checkov and cdk-nag that a resource is known
// to fail, each with the reason why that is right here.
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
			nag = append(nag, properties{"id": id, "reason": f[id]})
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
