package objects

import (
	"strings"

	"github.com/tidwall/btree"
)

// cursor goes through the keys of a bucket in order: those that were touched
// and those that are generated, as one. The bucket must not change meanwhile.
type cursor struct {
	key      string
	versions []*version // never empty
	bucket   *bucket
	touched  btree.MapIter[string, []*version]
	more     bool  // touched stands on a key
	next     []int // the next object of each of bucket.generated
}

// cursor stands on the first key that is from or comes after it.
func (b *bucket) cursor(from string) *cursor {
	c := &cursor{bucket: b, touched: b.objects.Iter(), next: make([]int, len(b.generated))}
	c.seek(from)
	return c
}

// valid says whether c stands on a key.
func (c *cursor) valid() bool { return c.versions != nil }

// seek goes to the first key that is from or comes after it.
func (c *cursor) seek(from string) {
	c.more = c.touched.Seek(from)
	for i, g := range c.bucket.generated {
		c.next[i] = g.ceiling(from)
	}
	c.advance()
}

// advance takes the smallest of the keys that come next and has a version.
func (c *cursor) advance() {
	for {
		c.key, c.versions = "", nil
		if c.more {
			c.key, c.versions = c.touched.Key(), c.touched.Value()
		}
		from, found := -1, c.more
		for i, g := range c.bucket.generated {
			if c.next[i] == g.spec.Count {
				continue
			}
			// a key that was touched hides the generated one
			if key := g.spec.Key(c.next[i]); !found || key < c.key {
				c.key, from, found = key, i, true
			} else if key == c.key {
				c.next[i]++
			}
		}
		switch {
		case !found:
			return
		case from >= 0:
			c.versions = []*version{c.bucket.generated[from].version(c.next[from], c.key)}
			c.next[from]++
			return
		default:
			c.more = c.touched.Next()
		}
		if len(c.versions) > 0 {
			return
		}
	}
}

// listing is what a list goes through, and where a page of it begins and ends.
type listing struct {
	prefix, delimiter string
	after             string // the key or common prefix that the last page ended with; "": from the start
	limit             int
	deleted           bool // keys of which only a delete marker is to be seen, too
}

// page visits up to limit keys under the prefix, in order. A key that the
// delimiter folds away comes as the common prefix that it is under, once,
// without versions. Where visit returns false, the key does not fit the page
// any more. truncated says that there is more.
func (b *bucket) page(l listing, visit func(key string, versions []*version) bool) (truncated bool) {
	if l.limit == 0 {
		return false
	}
	n := 0
	c := b.cursor(max(l.prefix, l.after))
	if l.after != "" && l.delimiter != "" && strings.HasSuffix(l.after, l.delimiter) && strings.HasPrefix(l.after, l.prefix) &&
		len(l.after) > len(l.prefix) && strings.Index(l.after[len(l.prefix):], l.delimiter) == len(l.after)-len(l.prefix)-len(l.delimiter) {
		c.seek(afterPrefix(l.after))
	}
	for c.valid() && strings.HasPrefix(c.key, l.prefix) {
		if l.after != "" && c.key <= l.after || !l.deleted && latest(c.versions) == nil {
			c.advance()
			continue
		}
		key, versions := c.key, c.versions
		if l.delimiter != "" {
			if i := strings.Index(key[len(l.prefix):], l.delimiter); i >= 0 {
				key, versions = key[:len(l.prefix)+i+len(l.delimiter)], nil
			}
		}
		if n == l.limit || !visit(key, versions) {
			return true
		}
		n++
		if versions == nil {
			c.seek(afterPrefix(key))
		} else {
			c.advance()
		}
	}
	return false
}

// afterPrefix gives the first string that comes after all with this prefix.
func afterPrefix(prefix string) string {
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xFF {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return prefix + "\xFF\xFF\xFF\xFF" // no key begins so: keys are UTF-8
	}
	b[len(b)-1]++
	return string(b)
}
