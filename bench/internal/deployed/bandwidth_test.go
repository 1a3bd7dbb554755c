package deployed

import (
	"errors"
	"strings"
	"testing"

	"fanout/bench/internal/hint"
	"fanout/functions/lambda"
)

// The functions say which bandwidth they have; a flag is for those that do not.
func TestBandwidth(t *testing.T) {
	function := func(name string, memoryMB int, says string) Function {
		return Function{ARN: arn + name, MemoryMB: memoryMB, Bandwidth: says}
	}
	vpc := Function{ARN: arn + "inside", MemoryMB: 3008, VPC: true}
	quota, flat, silent := function("quota", 3008, "quota"), function("flat", 3008, "flat"), function("silent", 3008, "")
	small := function("small", 2048, "")
	for _, row := range []struct {
		name      string
		functions []Function
		asked     string
		want      string
		refused   string // part of the error
		next      string // of its hint
	}{
		{"none", nil, "", "flat", "", ""},
		{"none, asked", nil, "quota", "quota", "", ""},
		{"quota says so", []Function{quota, quota}, "", "quota", "", ""},
		{"the flag repeats it", []Function{quota}, "quota", "quota", "", ""},
		{"the flag contradicts quota", []Function{small, quota}, "flat", "", "bandwidth flat: function " + arn + "quota is deployed with " +
			"BANDWIDTH=quota", "leave out --bandwidth"},
		{"flat says so", []Function{flat}, "", "flat", "", ""},
		{"the flag contradicts flat", []Function{flat}, "quota", "", "is deployed with BANDWIDTH=flat", "leave out --bandwidth"},
		{"silent", []Function{silent}, "", "flat", "", ""},
		{"silent, and the flag says", []Function{silent}, "quota", "quota", "", ""},
		{"in a VPC", []Function{vpc}, "", "flat", "", ""},
		{"in a VPC, against the rule", []Function{vpc}, "quota", "", "is in a VPC, where AWS grants no more than 625 Mbit/s",
			"leave out --bandwidth"},
		{"two that differ", []Function{quota, flat}, "", "", "quota is deployed with BANDWIDTH=quota, and function " + arn +
			"flat is deployed with BANDWIDTH=flat", "measure them apart"},
		{"one of them is silent", []Function{silent, quota}, "", "", "function " + arn + "silent does not say",
			"if it has the same, say --bandwidth quota"},
		{"the flag says it for the silent one", []Function{silent, quota}, "quota", "quota", "", ""},
		{"one of them in a VPC", []Function{quota, vpc}, "", "", "inside is in a VPC", "measure them apart"},
		{"a silent one that is too small to have more", []Function{small, quota}, "", "quota", "", ""},
		{"both too small", []Function{small, function("other", 512, "quota")}, "", "quota", "", ""},
	} {
		got, err := Bandwidth(row.functions, row.asked)
		var hinted *hint.Error
		switch {
		case row.refused == "" && (err != nil || got != row.want):
			t.Errorf("%s: %q, %v", row.name, got, err)
		case row.refused != "" && (!errors.As(err, &hinted) || hinted.Status != hint.StatusUsage || !strings.Contains(err.Error(), row.refused) ||
			!strings.Contains(hinted.Next, row.next)):
			t.Errorf("%s: %q, %v, hint %+v", row.name, got, err, hinted)
		}
	}
	if lambda.Bandwidth(2048, true) != lambda.Bandwidth(2048, false) {
		t.Error("2048 MB is no longer too small")
	}
}
