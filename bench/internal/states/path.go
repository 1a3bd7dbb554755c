package states

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// path is a reference path of JSONPath: $ or $$, then fields and indexes. What
// JSONPath has beside (wildcards, slices, filters) is refused when a state
// machine is created.
type path struct {
	text    string
	context bool // begins with $$
	steps   []step
}

type step struct {
	name  string
	index int // of an array, where name is empty
	array bool
}

// parsePath reads $.a.b, $['a b'].c, $.list[0], and the same with $$.
func parsePath(text string) (path, error) {
	p := path{text: text}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return p, fmt.Errorf("path %q: must begin with $", text)
	}
	if after, ok := strings.CutPrefix(rest, "$"); ok {
		p.context, rest = true, after
	}
	for rest != "" {
		var s step
		var err error
		switch rest[0] {
		case '.':
			s.name, rest = dotted(rest[1:])
			if s.name == "" {
				return p, fmt.Errorf("path %q: .. and an empty name do not run here", text)
			}
		case '[':
			if s, rest, err = bracketed(rest[1:]); err != nil {
				return p, fmt.Errorf("path %q: %w", text, err)
			}
		default:
			return p, fmt.Errorf("path %q: a field is written .name or ['name']", text)
		}
		if strings.ContainsAny(s.name, "*?@()") && rest != "" || s.name == "*" {
			return p, fmt.Errorf("path %q: only fields and indexes run here, without wildcards, slices and filters", text)
		}
		p.steps = append(p.steps, s)
	}
	return p, p.checkContext()
}

// contextFields are what the context object has here
// (docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html).
var contextFields = map[string][]string{
	"Execution":    {"Id", "Input", "Name", "RedriveCount", "RedriveTime", "RoleArn", "StartTime"},
	"Map":          {"Item"},
	"State":        {"EnteredTime", "Name", "RetryCount"},
	"StateMachine": {"Id", "Name"},
}

// checkContext refuses a path to what the context object never has.
func (p path) checkContext() error {
	if !p.context || len(p.steps) == 0 {
		return nil
	}
	known, ok := contextFields[p.steps[0].name]
	if !ok || len(p.steps) > 1 && !slices.Contains(known, p.steps[1].name) {
		return fmt.Errorf("path %q: the context object has no such field here", p.text)
	}
	return nil
}

// dotted takes a name up to the next . or [.
func dotted(s string) (name, rest string) {
	if i := strings.IndexAny(s, ".["); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// bracketed takes what stands between [ and ]: a quoted name, or an index.
func bracketed(s string) (st step, rest string, err error) {
	if s != "" && (s[0] == '\'' || s[0] == '"') {
		var name strings.Builder
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && i+1 < len(s):
				i++
				name.WriteByte(s[i])
			case s[i] == s[0]:
				if !strings.HasPrefix(s[i+1:], "]") {
					return st, "", errors.New("one name, or one index, between [ and ]")
				}
				return step{name: name.String()}, s[i+2:], nil
			default:
				name.WriteByte(s[i])
			}
		}
		return st, "", errors.New("a quote that does not end")
	}
	inside, rest, ok := strings.Cut(s, "]")
	if !ok {
		return st, "", errors.New("a [ without ]")
	}
	n, err := strconv.ParseUint(inside, 10, 31)
	if err != nil {
		return st, "", fmt.Errorf("[%s]: only fields and indexes run here, without wildcards, slices and filters", inside)
	}
	return step{index: int(n), array: true}, rest, nil
}

// in follows the path through v. The failure is States.Runtime, in the words of
// the service.
func (p path) in(v any) (any, error) {
	for _, s := range p.steps {
		next, ok, err := s.of(v)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fail(errRuntime, "The JSONPath '%s' could not be found in the input '%s'", p.text, excerpt(v))
		}
		v = next
	}
	return v, nil
}

// has says whether the path leads somewhere in v.
func (p path) has(v any) (any, bool, error) {
	for _, s := range p.steps {
		next, ok, err := s.of(v)
		if err != nil || !ok {
			return nil, false, err
		}
		v = next
	}
	return v, true, nil
}

func (s step) of(v any) (any, bool, error) {
	v, err := plain(v)
	if err != nil {
		return nil, false, fail(errRuntime, "%v", err)
	}
	switch v := v.(type) {
	case map[string]any:
		e, ok := v[s.name]
		return e, ok && !s.array, nil
	case fielder:
		e, ok := v.field(s.name)
		return e, ok && !s.array, nil
	case []any:
		if s.array && s.index < len(v) {
			return v[s.index], true, nil
		}
	}
	return nil, false, nil
}

// excerpt is the beginning of a value for a message.
func excerpt(v any) string {
	const most = 200
	text := encodeValue(v)
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}

// put gives a copy of input with result at the path: ResultPath.
func (p path) put(input, result any) (any, error) {
	return putAt(p, p.steps, input, result)
}

func putAt(p path, steps []step, into, result any) (any, error) {
	if len(steps) == 0 {
		return result, nil
	}
	into, err := plain(into)
	if err != nil {
		return nil, fail(errRuntime, "%v", err)
	}
	var m map[string]any
	switch v := into.(type) {
	case map[string]any:
		m = maps.Clone(v)
	case nil:
		m = map[string]any{}
	default:
		return nil, fail("States.ResultPathMatchFailure", "Unable to apply ReferencePath %s to input %s", p.text, excerpt(into))
	}
	if m[steps[0].name], err = putAt(p, steps[1:], m[steps[0].name], result); err != nil {
		return nil, err
	}
	return m, nil
}
