package objects

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	xmlHeader    = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	xmlNamespace = "http://s3.amazonaws.com/doc/2006-03-01/"
	// maxXMLBytes bounds the bodies of requests that are XML: 10,000 parts
	// with a checksum each are less than 2 MB.
	maxXMLBytes = 4 << 20
	// timeFormat is that of times in XML, in UTC.
	timeFormat = "2006-01-02T15:04:05.000Z"
)

// xmlDocument builds the XML of an answer. encoding/xml would put U+FFFD for what
// XML 1.0 cannot hold, where S3 writes a reference to the character, which no
// strict reader takes: that is what encoding-type=url is for.
type xmlDocument struct {
	b    []byte
	root string
}

// newXML begins a document with its outermost element.
func newXML(root, namespace string) *xmlDocument {
	x := &xmlDocument{append(make([]byte, 0, 512), xmlHeader+"<"+root...), root}
	if namespace != "" {
		x.b = append(x.b, ` xmlns="`+namespace+`"`...)
	}
	x.b = append(x.b, '>')
	return x
}

func (x *xmlDocument) open(name string)  { x.b = append(append(append(x.b, '<'), name...), '>') }
func (x *xmlDocument) close(name string) { x.b = append(append(append(x.b, "</"...), name...), '>') }

func (x *xmlDocument) text(name, value string) {
	x.open(name)
	x.b = appendXMLText(x.b, value)
	x.close(name)
}

// optional writes an element unless its value is empty.
func (x *xmlDocument) optional(name, value string) {
	if value != "" {
		x.text(name, value)
	}
}

func (x *xmlDocument) int(name string, n int64) {
	x.open(name)
	x.b = strconv.AppendInt(x.b, n, 10)
	x.close(name)
}

func (x *xmlDocument) bool(name string, v bool) {
	x.open(name)
	x.b = strconv.AppendBool(x.b, v)
	x.close(name)
}

func (x *xmlDocument) time(name string, t time.Time) {
	x.open(name)
	x.b = t.UTC().AppendFormat(x.b, timeFormat)
	x.close(name)
}

// owner writes the one owner there is.
func (x *xmlDocument) owner(name string) {
	x.open(name)
	x.text("ID", ownerID)
	x.text("DisplayName", "fanout")
	x.close(name)
}

// ownerID is the canonical user of everything here: 64 hexadecimal digits, as
// every account has.
const ownerID = "66616e6f757466616e6f757466616e6f757466616e6f757466616e6f75746661"

// write ends the document and sends it.
func (x *xmlDocument) write(w http.ResponseWriter, r *http.Request, status int) {
	x.close(x.root)
	h := w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(x.b)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(x.b) // the caller has gone, at worst
	}
}

// appendXMLText escapes s as S3 does, with numeric references for what XML 1.0
// cannot hold or would read as something else.
func appendXMLText(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '&':
			b = append(b, "&amp;"...)
		case c == '<':
			b = append(b, "&lt;"...)
		case c == '>':
			b = append(b, "&gt;"...)
		case c == '"':
			b = append(b, "&quot;"...)
		case c < ' ':
			b = append(strconv.AppendInt(append(b, "&#x"...), int64(c), 16), ';')
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == 0xFFFE || r == 0xFFFF {
				b = append(strconv.AppendInt(append(b, "&#x"...), int64(r), 16), ';')
			} else {
				b = utf8.AppendRune(b, r) // U+FFFD for what is no UTF-8
			}
			i += n
			continue
		}
		i++
	}
	return b
}

// encodeKey escapes s as encoding-type=url does: as a form, but for the slash.
func encodeKey(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "%2F", "/")
}

// readXML reads the XML body of a request.
func readXML(w http.ResponseWriter, body io.Reader, into any) *apiError {
	text, err := io.ReadAll(http.MaxBytesReader(w, io.NopCloser(body), maxXMLBytes))
	if err != nil {
		return bodyError(err)
	}
	if err := xml.Unmarshal(text, into); err != nil {
		return errBadXML
	}
	return nil
}

// bodyError is the answer to a body that could not be read to its end.
func bodyError(err error) *apiError {
	var refusal *bodyRefusal
	if errors.As(err, &refusal) {
		return refusal.as
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return newError(http.StatusBadRequest, "MaxMessageLengthExceeded", "Your request was too big.")
	}
	return errIncomplete
}
