package states

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// definitionError is what is wrong with a definition, and where.
type definitionError struct {
	at      string // path of the field: /States/Read/ItemReader/Resource
	code    string
	message string
}

func (e *definitionError) Error() string { return fmt.Sprintf("%s: %s at %s", e.code, e.message, e.at) }

func schemaError(at, format string, args ...any) error {
	return &definitionError{at, "SCHEMA_VALIDATION_FAILED", fmt.Sprintf(format, args...)}
}

// fields takes an object of a definition apart. It keeps the first error, and
// done adds one for the first field that nobody asked for: what is not known
// here would silently not run.
type fields struct {
	m    map[string]any
	at   string
	used map[string]bool
	err  *error // shared with the objects around it and inside
}

func newFields(m map[string]any, at string, err *error) *fields {
	return &fields{m: m, at: at, used: map[string]bool{}, err: err}
}

func (f *fields) failf(name, format string, args ...any) {
	if *f.err == nil {
		*f.err = schemaError(f.at+"/"+name, format, args...)
	}
}

func (f *fields) has(name string) bool {
	_, ok := f.m[name]
	return ok
}

func (f *fields) take(name string) any {
	f.used[name] = true
	return f.m[name]
}

// done refuses every field that was not taken.
func (f *fields) done() {
	for _, name := range slices.Sorted(maps.Keys(f.m)) {
		if !f.used[name] {
			f.failf(name, "the field does not run here")
			return
		}
	}
}

func (f *fields) str(name string) string {
	v := f.take(name)
	if v == nil && !f.has(name) {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		f.failf(name, "must be a string, not %s", kindOf(v))
	}
	return s
}

func (f *fields) required(name string) string {
	s := f.str(name)
	if s == "" {
		f.failf(name, "is required")
	}
	return s
}

// oneOf takes a string that must be one of those; left out, it is the first.
func (f *fields) oneOf(name string, known ...string) string {
	if !f.has(name) {
		f.used[name] = true
		return known[0]
	}
	s := f.str(name)
	if !slices.Contains(known, s) {
		f.failf(name, "%q does not run here, only %q", s, known)
	}
	return s
}

func (f *fields) boolean(name string) bool {
	v := f.take(name)
	if v == nil && !f.has(name) {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		f.failf(name, "must be true or false, not %s", kindOf(v))
	}
	return b
}

// float takes a number from least to most; nil where it is left out.
func (f *fields) float(name string, least, most float64) *float64 {
	v := f.take(name)
	if v == nil && !f.has(name) {
		return nil
	}
	n, ok := number(v)
	if !ok || n < least || n > most {
		f.failf(name, "must be a number from %g to %g, not %s", least, most, encodeValue(v))
	}
	return &n
}

func (f *fields) integer(name string, least, most int64) *int64 {
	v := f.take(name)
	if v == nil && !f.has(name) {
		return nil
	}
	n, err := integer(v)
	if err != nil || n < least || n > most {
		f.failf(name, "must be a whole number from %d to %d, not %s", least, most, encodeValue(v))
	}
	return &n
}

func integer(v any) (int64, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%s is not a number", kindOf(v))
	}
	return n.Int64()
}

// path takes a reference path; nil where it is left out.
func (f *fields) path(name string) *path {
	if !f.has(name) {
		return nil
	}
	text := f.str(name)
	p, err := parsePath(text)
	if err != nil {
		f.failf(name, "%v", err)
	}
	return &p
}

// optionalPath takes InputPath, OutputPath or ResultPath. JSON null gives
// discard.
func (f *fields) optionalPath(name string) (p *path, discard bool) {
	if v, ok := f.m[name]; ok && v == nil {
		f.used[name] = true
		return nil, true
	}
	return f.path(name), false
}

// object takes an object, ready to be taken apart; nil where it is left out.
func (f *fields) object(name string) *fields {
	v := f.take(name)
	if v == nil && !f.has(name) {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		f.failf(name, "must be an object, not %s", kindOf(v))
		m = map[string]any{}
	}
	return newFields(m, f.at+"/"+name, f.err)
}

// objects takes an array of objects.
func (f *fields) objects(name string) []*fields {
	v := f.take(name)
	if v == nil && !f.has(name) {
		return nil
	}
	l, ok := v.([]any)
	if !ok {
		f.failf(name, "must be an array, not %s", kindOf(v))
	}
	all := make([]*fields, 0, len(l))
	for i, e := range l {
		m, ok := e.(map[string]any)
		if !ok {
			f.failf(fmt.Sprintf("%s[%d]", name, i), "must be an object, not %s", kindOf(e))
		}
		all = append(all, newFields(m, fmt.Sprintf("%s/%s[%d]", f.at, name, i), f.err))
	}
	return all
}

func (f *fields) strings(name string) []string {
	l, ok := f.take(name).([]any)
	if !ok {
		f.failf(name, "must be an array of strings")
	}
	all := make([]string, len(l))
	for i, e := range l {
		if all[i], ok = e.(string); !ok {
			f.failf(fmt.Sprintf("%s[%d]", name, i), "must be a string, not %s", kindOf(e))
		}
	}
	return all
}

// template takes a payload template that is an object; nil where it is left
// out.
func (f *fields) template(name string) template {
	v := f.take(name)
	if v == nil && !f.has(name) {
		return nil
	}
	if _, ok := v.(map[string]any); !ok {
		f.failf(name, "must be an object, not %s", kindOf(v))
	}
	t, err := compile(v, f.at+"/"+name)
	if err != nil && *f.err == nil {
		*f.err = err
	}
	return t
}
