package lambda

import (
	"strings"
	"testing"
)

// Each runtime takes its own way to name a handler.
func TestCheckHandler(t *testing.T) {
	for _, tt := range []struct{ runtime, handler, err string }{
		{"python3.13", "module.function", ""},
		{"python3.13", "folder/module.function", ""},
		{"python3.13", "function", "must be like module.function"},
		{"python3.13", "module.", "must be like"},
		{"python3.13", "", "needs a handler, such as module.function"},
		{"nodejs24.x", "index.handler", ""},
		{"nodejs24.x", "src/index.nested.handler", ""},
		{"nodejs24.x", "index", "must be like index.handler"},
		{"java25", "pkg.Class::method", ""},
		{"java25", "Class", ""}, // its handleRequest
		{"java25", "a b", "without spaces"},
		{"java25", strings.Repeat("x", 129), "128 bytes at most"},
		{ProvidedAL2023, "", ""},
		{ProvidedAL2023, "anything", ""},
		{ProvidedAL2023, "a\nb", "without spaces"},
	} {
		r, err := ParseRuntime(tt.runtime)
		if err != nil {
			t.Fatal(err)
		}
		err = r.CheckHandler(tt.handler)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s, %q: %v, want %q", tt.runtime, tt.handler, err, tt.err)
		}
	}
	for _, name := range []string{"", "python", "python3.13 ", "Python3.13", "ruby3.4"} {
		if _, err := ParseRuntime(name); err == nil || !strings.Contains(err.Error(), "nodejs24.x") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
