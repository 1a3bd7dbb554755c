package states

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// scope is what paths lead into: $ the state's input, $$ the context object.
type scope struct {
	input   any
	context any
}

func (s scope) follow(p path) (any, error) {
	if p.context {
		return p.in(s.context)
	}
	return p.in(s.input)
}

// template is a payload template (Parameters, ResultSelector, ItemSelector,
// BatchInput), read once: fields whose names end in .$ have their values from
// paths or intrinsic functions, the rest stands as it is.
type template interface {
	append(b []byte, s scope) ([]byte, error)
}

type (
	constant []byte // JSON
	object   []objectField
	list     []template
	format   struct {
		parts []string // args stand between them
		args  []argument
	}
)

type objectField struct {
	name  string
	value template
}

// field gives the template of a field, or nil.
func (o object) field(name string) template {
	for _, f := range o {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// fill gives what a template comes to; nil gives otherwise.
func fill(t template, s scope, otherwise any) (any, error) {
	switch t := t.(type) {
	case nil:
		return otherwise, nil
	case path:
		return s.follow(t) // the value itself, not a copy
	}
	b, err := t.append(nil, s)
	return json.RawMessage(b), err
}

func (c constant) append(b []byte, _ scope) ([]byte, error) { return append(b, c...), nil }

func (p path) append(b []byte, s scope) ([]byte, error) {
	v, err := s.follow(p)
	if err != nil {
		return nil, err
	}
	return appendValue(b, v), nil
}

func (o object) append(b []byte, s scope) (_ []byte, err error) {
	b = append(b, '{')
	for i, f := range o {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = f.value.append(append(appendString(b, f.name), ':'), s); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (l list) append(b []byte, s scope) (_ []byte, err error) {
	b = append(b, '[')
	for i, t := range l {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = t.append(b, s); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// append gives States.Format's string: a string as it is, everything else as
// its JSON.
func (f format) append(b []byte, s scope) ([]byte, error) {
	var text strings.Builder
	for i, part := range f.parts {
		text.WriteString(part)
		if i == len(f.args) {
			break
		}
		v, err := f.args[i].value(s)
		if err != nil {
			return nil, err
		}
		if v, err = plain(v); err != nil {
			return nil, fail(errIntrinsic, "%v", err)
		}
		switch v := v.(type) {
		case string:
			text.WriteString(v)
		case map[string]any, []any, fielder:
			return nil, fail(errIntrinsic, "States.Format takes strings, numbers, booleans and null, not %s", kindOf(v))
		default:
			text.Write(encodeValue(v))
		}
	}
	return appendString(b, text.String()), nil
}

// compile reads a payload template. Errors name the field by its path in the
// definition, at being the template's own.
func compile(v any, at string) (template, error) {
	switch v := v.(type) {
	case map[string]any:
		o := make(object, 0, len(v))
		dynamic := false
		for _, key := range slices.Sorted(maps.Keys(v)) {
			name, fromPath := strings.CutSuffix(key, ".$")
			f := objectField{name: name}
			var err error
			if fromPath {
				f.value, err = compileExpression(v[key], at+"/"+key)
			} else {
				f.value, err = compile(v[key], at+"/"+key)
			}
			if err != nil {
				return nil, err
			}
			if o.field(name) != nil {
				return nil, schemaError(at+"/"+key, "the field %q stands twice, once with .$", name)
			}
			if _, ok := f.value.(constant); !ok {
				dynamic = true
			}
			o = append(o, f)
		}
		slices.SortFunc(o, func(a, b objectField) int { return cmp.Compare(a.name, b.name) })
		if !dynamic && len(o) == 0 {
			return constant("{}"), nil
		}
		return o, nil
	case []any:
		l := make(list, len(v))
		for i, e := range v {
			var err error
			if l[i], err = compile(e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return nil, err
			}
		}
		return l, nil
	}
	return constant(encodeValue(v)), nil
}

// compileExpression reads what stands in a field whose name ends in .$.
func compileExpression(v any, at string) (template, error) {
	text, ok := v.(string)
	if !ok {
		return nil, schemaError(at, "the value of a field that ends in .$ must be a path or an intrinsic function, not %s", kindOf(v))
	}
	if strings.HasPrefix(text, "$") {
		p, err := parsePath(text)
		if err != nil {
			return nil, schemaError(at, "%v", err)
		}
		return p, nil
	}
	f, rest, err := parseFormat(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q stands after the function", rest)
	}
	if err != nil {
		return nil, schemaError(at, "%v", err)
	}
	return f, nil
}

// argument is one of an intrinsic function's.
type argument struct {
	literal any
	path    *path
	format  *format
}

func (a argument) value(s scope) (any, error) {
	switch {
	case a.path != nil:
		return s.follow(*a.path)
	case a.format != nil:
		b, err := a.format.append(nil, s)
		return json.RawMessage(b), err
	}
	return a.literal, nil
}

const formatName = "States.Format("

// parseFormat reads States.Format('…{}…', argument, …): the one intrinsic
// function that runs here.
func parseFormat(text string) (f format, rest string, err error) {
	rest, ok := strings.CutPrefix(text, formatName)
	if !ok {
		name, _, _ := strings.Cut(text, "(")
		return f, "", fmt.Errorf("%q: of intrinsic functions only States.Format runs here", name)
	}
	for n := 0; ; n++ {
		rest = strings.TrimLeft(rest, " ")
		if n == 0 {
			if f.parts, rest, err = parsePattern(rest); err != nil {
				return f, "", err
			}
		} else {
			var a argument
			if a, rest, err = parseArgument(rest); err != nil {
				return f, "", err
			}
			f.args = append(f.args, a)
		}
		rest = strings.TrimLeft(rest, " ")
		switch {
		case strings.HasPrefix(rest, ","):
			rest = rest[1:]
		case strings.HasPrefix(rest, ")"):
			if len(f.parts) != len(f.args)+1 {
				return f, "", fmt.Errorf("States.Format has %d times {} and %d arguments", len(f.parts)-1, len(f.args))
			}
			return f, rest[1:], nil
		default:
			return f, "", fmt.Errorf("States.Format: %q: a comma or a closing parenthesis is missing", rest)
		}
	}
}

// parsePattern reads States.Format's first argument: the text between its {}.
func parsePattern(text string) (parts []string, rest string, err error) {
	if !strings.HasPrefix(text, "'") {
		return nil, "", errors.New("States.Format begins with a string in single quotes")
	}
	var part strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			part.WriteByte(text[i])
		case text[i] == '\'':
			return append(parts, part.String()), text[i+1:], nil
		case strings.HasPrefix(text[i:], "{}"):
			parts = append(parts, part.String())
			part.Reset()
			i++
		case text[i] == '{' || text[i] == '}':
			return nil, "", errors.New(`States.Format: a brace is written \{ or \}, a place for an argument {}`)
		default:
			part.WriteByte(text[i])
		}
	}
	return nil, "", errors.New("States.Format: a quote that does not end")
}

// parseArgument reads a path, a string in single quotes, a number, true, false,
// null, or another States.Format.
func parseArgument(text string) (a argument, rest string, err error) {
	switch {
	case strings.HasPrefix(text, formatName):
		f, rest, err := parseFormat(text)
		return argument{format: &f}, rest, err
	case strings.HasPrefix(text, "'"):
		var s strings.Builder
		for i := 1; i < len(text); i++ {
			switch {
			case text[i] == '\\' && i+1 < len(text):
				i++
				s.WriteByte(text[i])
			case text[i] == '\'':
				return argument{literal: s.String()}, text[i+1:], nil
			default:
				s.WriteByte(text[i])
			}
		}
		return a, "", errors.New("States.Format: a quote that does not end")
	}
	end := strings.IndexAny(text, ",)")
	if end < 0 {
		end = len(text)
	}
	word, rest := strings.TrimRight(text[:end], " "), text[end:]
	if strings.HasPrefix(word, "$") {
		p, err := parsePath(word)
		return argument{path: &p}, rest, err
	}
	switch word {
	case "true", "false":
		return argument{literal: word == "true"}, rest, nil
	case "null":
		return argument{}, rest, nil
	}
	if _, err := strconv.ParseFloat(word, 64); err != nil || !json.Valid([]byte(word)) {
		return a, "", fmt.Errorf("States.Format: %q is no argument: a path, a string in single quotes, a number, true, false or null", word)
	}
	return argument{literal: json.Number(word)}, rest, nil
}
