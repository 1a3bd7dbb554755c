package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A contender is NAME=PATH[,runtime=R,handler=H]; only these words end a
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
		{"x", "", "", "", "must be NAME=PATH[,runtime=R,handler=H][,client=C]"},
		{"x=", "", "", "", "must be NAME=PATH[,runtime=R,handler=H][,client=C]"},
		{"x=,runtime=python3.13,handler=m.f", "", "", "", "must be NAME=PATH[,runtime=R,handler=H][,client=C]"},
		{"=p", "", "", "", "contender name"},
		{"x=p,runtime=python3.13", "", "", "", "contender x: runtime python3.13 needs a handler, such as module.function"},
		{"x=p,handler=m.f", "", "", "", `handler "m.f" needs a runtime`},
		{"x=p,runtime=python3,handler=m.f", "", "", "", `runtime "python3": must be one of provided.al2023, python3.9`},
		{"x=p,runtime=,handler=m.f", "", "", "", `needs a runtime`},
		{"x=p,runtime=python3.13,handler=f", "", "", "", `handler "f": must be like module.function`},
		{"x=p,runtime=python3.13,handler=m.f,handler=m.g", "", "", "", "handler is given twice"},
		{"x=p,hander=m.f", "", "", "", `option "hander": must be runtime, handler or client`},
		{"x=p,runtime=python3.13,handler=m.f,memory=512", "", "", "", `option "memory": must be runtime, handler or client`},
		{"x=p,client=fast", "", "", "", `client "fast": must be one of [lean tuned stock]`},
		{"x=p,client=", "", "", "", `client "": must be one of`},
		{"x=p,client=lean,client=lean", "", "", "", "client lean is given twice"},
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

// The clients of a contender stand in the order in which they are given.
func TestContenderClients(t *testing.T) {
	for text, want := range map[string][]string{
		"x=p":                          nil, // each that the plan asks for
		"x=p,client=lean":              {"lean"},
		"x=p,client=tuned,client=lean": {"tuned", "lean"},
		"x=p,client=lean,runtime=java25,handler=p.C::m,client=stock": {"lean", "stock"},
	} {
		if c, err := parseContender(text); err != nil || !slices.Equal(c.Clients, want) || c.Path("") != "p" {
			t.Errorf("%s: %q, path %q, %v", text, c.Clients, c.Path(""), err)
		}
	}
}
