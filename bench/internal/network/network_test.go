package network

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, row := range []struct {
		in string
		ok bool
	}{
		{"s3-standard", true},
		{"s3-express", true},
		{"none", true},
		{"", false},            // the flag left empty is a mistake, not None
		{"S3-Standard", false}, // names are exact
	} {
		n, err := Parse(row.in)
		if (err == nil) != row.ok || row.ok && string(n) != row.in {
			t.Errorf("%q: %q, %v", row.in, n, err)
		}
	}
	if _, err := Parse("wifi"); err == nil || !strings.Contains(err.Error(), "s3-standard, s3-express, none") {
		t.Errorf("the error does not say which there are: %v", err)
	}
}

// What the documentation says of each network is what it is.
func TestModelsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range Models {
		if want := fmt.Sprintf("`%s`: %s", m.Name, m); !strings.Contains(string(text), want) {
			t.Errorf("docs/architecture.md does not say %q", want)
		}
		if m.About == "" || m.Name.Model() != m {
			t.Errorf("%s is %+v", m.Name, m.Name.Model())
		}
	}
}
