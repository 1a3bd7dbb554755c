package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A contender is NAME=PATH[,runtime=R,handler=H]; only these two words end a
// path.
func TestParseContender(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "a,b=c")
	if err := os.WriteFile(odd, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ text, path, runtime, handler, err string }{
		{"x=p", "p", "", "", ""},
		{"x=p,runtime=python3.13,handler=m.f", "p", "python3.13", "m.f", ""},
		{"x=p,handler=m.f,runtime=python3.13", "p", "python3.13", "m.f", ""}, // in any order
		{"x=p,runtime=provided.al2023", "p", "provided.al2023", "", ""},
		{"x=p,runtime=java25,handler=pkg.Class::method", "p", "java25", "pkg.Class::method", ""},
		{"x=a,b/c.zip,runtime=nodejs22.x,handler=index.handler", "a,b/c.zip", "nodejs22.x", "index.handler", ""}, // a path with a comma
		{"x=a=b", "a=b", "", "", ""},
		{"x=" + odd, odd, "", "", ""}, // it is there, and so no mistake
		{"x=/d,runtime=3/p", "", "", "", "runtime \"3/p\": must be one of"},
		{"x", "", "", "", "must be NAME=PATH[,runtime=R,handler=H]"},
		{"x=", "", "", "", "must be NAME=PATH[,runtime=R,handler=H]"},
		{"x=,runtime=python3.13,handler=m.f", "", "", "", "must be NAME=PATH[,runtime=R,handler=H]"},
		{"=p", "", "", "", "contender name"},
		{"x=p,runtime=python3.13", "", "", "", "contender x: runtime python3.13 needs a handler, such as module.function"},
		{"x=p,handler=m.f", "", "", "", `handler "m.f" needs a runtime`},
		{"x=p,runtime=python3,handler=m.f", "", "", "", `runtime "python3": must be one of provided.al2023, python3.9`},
		{"x=p,runtime=,handler=m.f", "", "", "", `needs a runtime`},
		{"x=p,runtime=python3.13,handler=f", "", "", "", `handler "f": must be like module.function`},
		{"x=p,runtime=python3.13,handler=m.f,handler=m.g", "", "", "", "handler is given twice"},
		{"x=p,hander=m.f", "", "", "", `option "hander": must be runtime or handler`},
		{"x=p,runtime=python3.13,handler=m.f,memory=512", "", "", "", `option "memory": must be runtime or handler`},
	} {
		c, err := parseContender(tt.text)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.text, err, tt.err)
			}
			continue
		}
		if err != nil || c.Name != "x" || c.Path("") != tt.path || c.Runtime != tt.runtime || c.Handler != tt.handler {
			t.Errorf("%s: path %q, runtime %q, handler %q, %v", tt.text, c.Path(""), c.Runtime, c.Handler, err)
		}
	}
}
