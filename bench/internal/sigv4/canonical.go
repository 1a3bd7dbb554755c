package sigv4

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// appendCanonical appends the canonical request up to the payload's hash. query
// is the raw query that is signed. missing names a header that has to be signed
// and is not: host, every x-amz- header that is sent, and whatever the caller
// says that it signed but did not send.
func (v *Verifier) appendCanonical(b []byte, r *http.Request, signedHeaders, query string) (_ []byte, missing string) {
	b = append(append(b, r.Method...), '\n')
	path := r.URL.Path
	if v.EscapePathTwice {
		path = r.URL.EscapedPath()
	}
	if path == "" {
		path = "/"
	}
	b = append(appendEscaped(b, path, true), '\n')
	b = append(appendCanonicalQuery(b, query), '\n')
	host, amz := false, 0
	for name := range strings.SplitSeq(signedHeaders, ";") {
		b = append(append(b, name...), ':')
		values := r.Header[http.CanonicalHeaderKey(name)]
		switch {
		case name == "host":
			host = true
			b = append(b, r.Host...)
		case len(values) > 0:
			if strings.HasPrefix(name, "x-amz-") {
				amz++
			}
			for i, v := range values {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendTrimmed(b, v)
			}
		case name == "content-length": // net/http takes these out of the header
			b = strconv.AppendInt(b, r.ContentLength, 10)
		case name == "transfer-encoding":
			b = append(b, strings.Join(r.TransferEncoding, ",")...)
		default:
			return b, name
		}
		b = append(b, '\n')
	}
	if !host {
		return b, "host"
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			if amz--; amz < 0 {
				return b, firstUnsigned(r.Header, signedHeaders)
			}
		}
	}
	return append(append(append(b, '\n'), signedHeaders...), '\n'), ""
}

// firstUnsigned names the x-amz- header, of several the first by name, that is
// not signed.
func firstUnsigned(h http.Header, signedHeaders string) string {
	signed := strings.Split(signedHeaders, ";")
	var unsigned []string
	for name := range h {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(signed, name) {
			unsigned = append(unsigned, name)
		}
	}
	return slices.Min(unsigned)
}

// appendTrimmed appends v without spaces around it, and with one for each run
// of them inside.
func appendTrimmed(b []byte, v string) []byte {
	if !strings.Contains(v, "  ") {
		return append(b, strings.Trim(v, " ")...)
	}
	return append(b, strings.Join(strings.FieldsFunc(v, func(r rune) bool { return r == ' ' }), " ")...)
}

func appendCanonicalQuery(b []byte, raw string) []byte {
	if raw == "" {
		return b
	}
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, pair{reescape(name), reescape(value)})
	}
	slices.SortFunc(pairs, func(x, y pair) int {
		return cmp.Or(strings.Compare(x.name, y.name), strings.Compare(x.value, y.value))
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p.name...), '='), p.value...)
	}
	return b
}

// reescape brings s, escaped in whatever way, to the one that is signed.
func reescape(s string) string {
	plain, err := url.QueryUnescape(s)
	if err != nil {
		return s // no client signs that; it will not match
	}
	return string(appendEscaped(nil, plain, false))
}

// appendEscaped percent-encodes s byte by byte: keys need not be UTF-8.
func appendEscaped(b []byte, s string, keepSlash bool) []byte {
	const upper = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && keepSlash:
			b = append(b, c)
		default:
			b = append(b, '%', upper[c>>4], upper[c&15])
		}
	}
	return b
}
