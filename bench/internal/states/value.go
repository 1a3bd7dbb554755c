package states

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// A value is JSON: nil, bool, json.Number, string, []any, map[string]any, or
// json.RawMessage for what nobody has looked into yet, which may be any of
// these. A batch of a thousand keys goes to its function as the bytes it was
// put together as.

// fielder is an object whose fields are made when they are asked for.
type fielder interface {
	field(name string) (v any, ok bool)
	names() []string
}

// decodeValue reads one JSON value, numbers as they are written.
func decodeValue(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("unexpected end of JSON input")
		}
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// marshal gives a struct's JSON on one line, without HTML escapes.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), err
}

// compact gives JSON on one line.
func compact(text string) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return json.RawMessage(text) // whoever opens it will see
	}
	return b.Bytes()
}

// plain opens a value that nobody has looked into.
func plain(v any) (any, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return decodeValue(raw)
	}
	return v, nil
}

// encodeValue gives a value's JSON; the caller must not change it.
func encodeValue(v any) []byte {
	if raw, ok := v.(json.RawMessage); ok {
		return raw
	}
	return appendValue(nil, v)
}

// appendValue appends a value's JSON, object fields in the order of their names.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case json.Number:
		return append(b, v...)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		return strconv.AppendFloat(b, v, 'g', -1, 64)
	case string:
		return appendString(b, v)
	case json.RawMessage:
		return append(b, v...)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(append(appendString(b, name), ':'), v[name])
		}
		return append(b, '}')
	case fielder:
		b = append(b, '{')
		for i, name := range v.names() {
			if i > 0 {
				b = append(b, ',')
			}
			e, _ := v.field(name)
			b = appendValue(append(appendString(b, name), ':'), e)
		}
		return append(b, '}')
	}
	panic(fmt.Sprintf("states: %T is not a value", v)) // a mistake in this package
}

// appendString appends s as a JSON string without HTML escapes, as Step
// Functions writes it. Bytes that are not UTF-8 become U+FFFD.
func appendString[S string | []byte | json.RawMessage](b []byte, s S) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		i++
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i-1]...)
		start = i
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(b, s[start:]...), '"')
}

// number reads a value as a float64.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	}
	return 0, false
}

// kindOf names a value's type for messages.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "an array"
	case map[string]any, fielder:
		return "an object"
	}
	return "a number"
}
