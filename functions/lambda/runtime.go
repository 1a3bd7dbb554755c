package lambda

import (
	"fmt"
	"slices"
	"strings"
)

// Language is what a managed runtime runs.
type Language string

// The languages of managed runtimes.
const (
	Python Language = "Python"
	NodeJS Language = "Node.js"
	Java   Language = "Java"
)

// Runtime is one of Lambda's runtimes.
type Runtime struct {
	Name     string   // as the Lambda API has it: python3.13, provided.al2023
	Language Language // empty: the package brings its own bootstrap
	Version  string   // of the language: 3.13, 22, 25
}

// ProvidedAL2023 is the runtime of functions that bring their own bootstrap.
const ProvidedAL2023 = "provided.al2023"

// Runtimes lists those that are known here
// (docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html).
var Runtimes = []Runtime{
	{Name: ProvidedAL2023},
	{"python3.9", Python, "3.9"}, {"python3.10", Python, "3.10"}, {"python3.11", Python, "3.11"},
	{"python3.12", Python, "3.12"}, {"python3.13", Python, "3.13"}, {"python3.14", Python, "3.14"},
	{"nodejs20.x", NodeJS, "20"}, {"nodejs22.x", NodeJS, "22"}, {"nodejs24.x", NodeJS, "24"},
	{"java17", Java, "17"}, {"java21", Java, "21"}, {"java25", Java, "25"},
}

// ParseRuntime gives the runtime of a name. The error says which there are.
func ParseRuntime(name string) (Runtime, error) {
	if i := slices.IndexFunc(Runtimes, func(r Runtime) bool { return r.Name == name }); i >= 0 {
		return Runtimes[i], nil
	}
	names := make([]string, len(Runtimes))
	for i, r := range Runtimes {
		names[i] = r.Name
	}
	return Runtime{}, fmt.Errorf("runtime %q: must be one of %s", name, strings.Join(names, ", "))
}

// Managed says whether Lambda brings the language, and calls a handler.
func (r Runtime) Managed() bool { return r.Language != "" }

// handlers are how each language names a handler, by example.
var handlers = map[Language]string{Python: "module.function", NodeJS: "index.handler", Java: "pkg.Class::method"}

// maxHandlerBytes is Lambda's limit
// (docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html).
const maxHandlerBytes = 128

// CheckHandler refuses what cannot name a handler of this runtime. A function
// that brings its own bootstrap gets whatever is given as _HANDLER, or nothing.
func (r Runtime) CheckHandler(handler string) error {
	like := handlers[r.Language]
	switch {
	case r.Managed() && handler == "":
		return fmt.Errorf("runtime %s needs a handler, such as %s", r.Name, like)
	case len(handler) > maxHandlerBytes || strings.ContainsFunc(handler, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return fmt.Errorf("handler %q: must be %d bytes at most, without spaces", handler, maxHandlerBytes)
	case r.Managed() && r.Language != Java && !strings.Contains(strings.Trim(handler, "."), "."):
		return fmt.Errorf("handler %q: must be like %s", handler, like)
	}
	return nil
}
