package lean

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"fanout/functions/fetch"
)

// S3's documents are elements in elements with text in the innermost, so a
// reader of tags is enough: encoding/xml takes some 10 µs a listed key, as much
// as reading a small object.

// maxDepth is how deep elements may lie in each other; S3's lie 4 deep.
const maxDepth = 16

var errXML = errors.New("malformed XML")

// walk calls leaf for every element that holds no other, with the name of the
// one around it and its text, entities not yet resolved, and end at the end of
// every element. Names come without a namespace's prefix. Text beside child
// elements is passed over. It fails if doc is not one whole element.
func walk(doc []byte, leaf func(parent, name, text []byte), end func(name []byte)) error {
	var open [maxDepth][]byte
	depth, text, isLeaf := 0, 0, false
	for pos, roots := 0, 0; ; {
		lt := bytes.IndexByte(doc[pos:], '<')
		if lt < 0 {
			if depth > 0 || roots != 1 || len(bytes.TrimSpace(doc[pos:])) > 0 {
				return fmt.Errorf("%w: ends too early after %d bytes", errXML, len(doc))
			}
			return nil
		}
		if depth == 0 && len(bytes.TrimSpace(bytes.TrimPrefix(doc[pos:pos+lt], []byte("\ufeff")))) > 0 {
			return fmt.Errorf("%w: text outside of the document at byte %d", errXML, pos)
		}
		lt += pos
		var tag []byte
		switch rest := doc[lt:]; {
		case bytes.HasPrefix(rest, []byte("<?")):
			stop := bytes.Index(rest, []byte("?>"))
			if stop < 0 || depth > 0 {
				return fmt.Errorf("%w: instruction at byte %d", errXML, lt)
			}
			pos = lt + stop + 2
			continue
		case bytes.HasPrefix(rest, []byte("<!")):
			// Comments, DOCTYPE, CDATA: S3 sends none.
			return fmt.Errorf("%w: declaration at byte %d", errXML, lt)
		default:
			stop := bytes.IndexByte(rest, '>')
			if stop < 2 {
				return fmt.Errorf("%w: tag at byte %d", errXML, lt)
			}
			tag, pos = rest[1:stop], lt+stop+1
		}
		if tag[0] == '/' {
			name := local(word(tag[1:]))
			if depth == 0 || !bytes.Equal(open[depth-1], name) {
				return fmt.Errorf("%w: </%.40s> at byte %d", errXML, name, lt)
			}
			if depth--; isLeaf {
				var parent []byte
				if depth > 0 {
					parent = open[depth-1]
				}
				leaf(parent, name, doc[text:lt])
			}
			isLeaf = false
			end(name)
			continue
		}
		closed := tag[len(tag)-1] == '/'
		if closed {
			tag = tag[:len(tag)-1]
		}
		name := local(word(tag))
		if len(name) == 0 {
			return fmt.Errorf("%w: tag at byte %d", errXML, lt)
		}
		if depth == 0 {
			if roots++; roots > 1 {
				return fmt.Errorf("%w: second document at byte %d", errXML, lt)
			}
		}
		if closed {
			var parent []byte
			if depth > 0 {
				parent = open[depth-1]
			}
			leaf(parent, name, nil)
			isLeaf = false
			end(name)
			continue
		}
		if depth == maxDepth {
			return fmt.Errorf("%w: more than %d elements deep", errXML, maxDepth)
		}
		open[depth] = name
		depth++
		text, isLeaf = pos, true
	}
}

// word gives what comes before the first space: a tag without its attributes.
func word(tag []byte) []byte {
	for i, c := range tag {
		if c <= ' ' {
			return tag[:i]
		}
	}
	return tag
}

// local cuts a namespace's prefix off.
func local(name []byte) []byte { return name[bytes.IndexByte(name, ':')+1:] }

// appendText resolves the entities in text.
func appendText(b, text []byte) ([]byte, error) {
	for {
		amp := bytes.IndexByte(text, '&')
		if amp < 0 {
			return append(b, text...), nil
		}
		b = append(b, text[:amp]...)
		text = text[amp+1:]
		semicolon := bytes.IndexByte(text[:min(len(text), 12)], ';')
		if semicolon < 0 {
			return nil, fmt.Errorf("%w: & without ;", errXML)
		}
		name := string(text[:semicolon])
		text = text[semicolon+1:]
		switch name {
		case "amp":
			b = append(b, '&')
		case "lt":
			b = append(b, '<')
		case "gt":
			b = append(b, '>')
		case "quot":
			b = append(b, '"')
		case "apos":
			b = append(b, '\'')
		default:
			r, err := charRef(name)
			if err != nil {
				return nil, err
			}
			b = utf8.AppendRune(b, r)
		}
	}
}

func charRef(name string) (rune, error) {
	var n uint64
	err := errXML
	switch {
	case len(name) > 2 && name[:2] == "#x":
		n, err = strconv.ParseUint(name[2:], 16, 32)
	case len(name) > 1 && name[0] == '#':
		n, err = strconv.ParseUint(name[1:], 10, 32)
	}
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, fmt.Errorf("%w: entity &%s;", errXML, name)
	}
	return rune(n), nil
}

// unescapeURL resolves %XX and, as S3 writes a space in a listing, +, in
// place.
func unescapeURL(b []byte) ([]byte, error) {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '+':
			out = append(out, ' ')
		case '%':
			if i+2 >= len(b) {
				return nil, fmt.Errorf("%w: URL encoding %.60q", errXML, b[i:])
			}
			high, ok1 := unhex(b[i+1])
			low, ok2 := unhex(b[i+2])
			if !ok1 || !ok2 {
				return nil, fmt.Errorf("%w: URL encoding %.60q", errXML, b[i:i+3])
			}
			out = append(out, high<<4|low)
			i += 2
		default:
			out = append(out, b[i])
		}
	}
	return out, nil
}

// listing is one page of ListObjectsV2.
type listing struct {
	objects   []fetch.Object
	truncated bool
	next      string // continuation token
}

// pageKeys is how many keys S3 lists on a page.
const pageKeys = 1000

// parseListing reads a page. All its keys share one string.
func parseListing(doc []byte) (listing, error) {
	var (
		page    = listing{objects: make([]fetch.Object, 0, pageKeys)}
		arena   = make([]byte, 0, len(doc)/8)
		ends    = make([]int, 0, pageKeys)
		key     []byte
		size    int64
		has     int // bit 0: Key, bit 1: Size
		encoded bool
		failed  error
		root    []byte
	)
	// EncodingType may come after the keys, so they are decoded at the end.
	err := walk(doc, func(parent, name, text []byte) {
		switch {
		case string(parent) == "Contents" && string(name) == "Key":
			key, has = text, has|1
		case string(parent) == "Contents" && string(name) == "Size":
			n, ok := parseInt(text)
			if !ok {
				failed = fmt.Errorf("%w: size %.40q", errXML, text)
				return
			}
			size, has = n, has|2
		case string(parent) != "ListBucketResult":
		case string(name) == "IsTruncated":
			page.truncated = string(text) == "true"
		case string(name) == "EncodingType":
			encoded = string(text) == "url"
		case string(name) == "NextContinuationToken":
			token, err := appendText(nil, text)
			if err != nil {
				failed = err
			}
			page.next = string(token)
		}
	}, func(name []byte) {
		root = name // the last to end
		if string(name) != "Contents" {
			return
		}
		if has != 3 {
			failed = fmt.Errorf("%w: an object without key or size", errXML)
		}
		has = 0
		var err error
		if arena, err = appendText(arena, key); err != nil {
			failed = err
		}
		ends = append(ends, len(arena))
		page.objects = append(page.objects, fetch.Object{Size: size})
	})
	switch {
	case err != nil:
		return listing{}, err
	case failed != nil:
		return listing{}, failed
	case string(root) != "ListBucketResult":
		return listing{}, fmt.Errorf("%w: <%.40s> where a listing should be", errXML, root)
	case page.truncated && page.next == "":
		return listing{}, fmt.Errorf("%w: more pages, but no continuation token", errXML)
	}
	if encoded {
		from, to := 0, 0
		for i, end := range ends {
			raw := arena[from:end]
			from = end
			k, err := unescapeURL(raw)
			if err != nil {
				return listing{}, err
			}
			to += copy(arena[to:], k)
			ends[i] = to
		}
		arena = arena[:to]
	}
	keys, from := string(arena), 0
	for i, end := range ends {
		page.objects[i].Key = keys[from:end]
		from = end
	}
	return page, nil
}

// parseError reads S3's error document into e; what is no such document
// leaves e as it is.
func parseError(doc []byte, e *responseError) {
	found := responseError{}
	err := walk(doc, func(parent, name, text []byte) {
		if string(parent) != "Error" {
			return
		}
		value, err := appendText(nil, text)
		if err != nil {
			return
		}
		switch string(name) {
		case "Code":
			found.code = string(value)
		case "Message":
			found.message = string(value)
		case "Region":
			found.region = string(value)
		case "RequestId":
			found.requestID = string(value)
		}
	}, func([]byte) {})
	if err != nil || found.code == "" {
		return
	}
	e.code, e.message = found.code, found.message
	if e.region == "" {
		e.region = found.region
	}
	if e.requestID == "" {
		e.requestID = found.requestID
	}
}

// parseSession reads CreateSession's response.
func parseSession(doc []byte) (aws.Credentials, error) {
	var c aws.Credentials
	var expires string
	err := walk(doc, func(parent, name, text []byte) {
		if string(parent) != "Credentials" {
			return
		}
		value, err := appendText(nil, text)
		if err != nil {
			return // then the field is missing
		}
		switch string(name) {
		case "AccessKeyId":
			c.AccessKeyID = string(value)
		case "SecretAccessKey":
			c.SecretAccessKey = string(value)
		case "SessionToken":
			c.SessionToken = string(value)
		case "Expiration":
			expires = string(value)
		}
	}, func([]byte) {})
	if err != nil {
		return aws.Credentials{}, err
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" || c.SessionToken == "" {
		return aws.Credentials{}, fmt.Errorf("%w: a session without credentials", errXML)
	}
	c.CanExpire = true
	if c.Expires, err = time.Parse(time.RFC3339, expires); err != nil {
		return aws.Credentials{}, fmt.Errorf("%w: expiration %.40q", errXML, expires)
	}
	return c, nil
}
