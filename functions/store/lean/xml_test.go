package lean

import (
	"encoding/xml"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"fanout/functions/fetch"
)

const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

func TestListing(t *testing.T) {
	for _, tt := range []struct {
		name, doc string
		want      listing
		bad       bool
	}{
		{name: "as S3 sends it",
			doc: xmlHead + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/>` +
				`<KeyCount>2</KeyCount>` +
				`<IsTruncated>true</IsTruncated><NextContinuationToken>t&#x2B;/=&amp;</NextContinuationToken>` +
				`<EncodingType>url</EncodingType>` +
				`<Contents><Key>a+b%2Bc/%E6%97%A5</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>` +
				`<ETag>&quot;e&quot;</ETag><Size>12</Size><StorageClass>STANDARD</StorageClass></Contents>` +
				`<Contents><Key>%01</Key><Owner><ID>i</ID><DisplayName>Key</DisplayName></Owner><Size>0</Size></Contents>` +
				`</ListBucketResult>`,
			want: listing{objects: []fetch.Object{{Key: "a b+c/日", Size: 12}, {Key: "\x01"}}, truncated: true, next: "t+/=&"}},
		{name: "the encoding named after the keys",
			doc:  `<ListBucketResult><Contents><Key>%20</Key><Size>1</Size></Contents><EncodingType>url</EncodingType></ListBucketResult>`,
			want: listing{objects: []fetch.Object{{Key: " ", Size: 1}}}},
		{name: "no encoding: nothing to decode twice",
			doc:  `<ListBucketResult><Contents><Key>a+b%20&lt;&#60;&apos;</Key><Size>1</Size></Contents></ListBucketResult>`,
			want: listing{objects: []fetch.Object{{Key: "a+b%20<<'", Size: 1}}}},
		{name: "indented, with a prefix for the namespace",
			doc: "\ufeff" + xmlHead + "<s:ListBucketResult xmlns:s='x'>\n  <s:Contents>\n    <s:Key>k</s:Key>\n    <s:Size>7</s:S" +
				"ize>\n  </s:Contents >\n</s:ListBucketResult>\n",
			want: listing{objects: []fetch.Object{{Key: "k", Size: 7}}}},
		{name: "a prefix is no key", doc: `<ListBucketResult><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>`},
		{name: "a Key elsewhere is none",
			doc: `<ListBucketResult><Contents><Key>k</Key><Size>1</Size><RestoreStatus><Key>x</Key></RestoreStatus></Contents>` +
				`</ListBucketResult>`,
			want: listing{objects: []fetch.Object{{Key: "k", Size: 1}}}},
		{name: "empty", doc: `<ListBucketResult/>`},
		{name: "cut short", doc: `<ListBucketResult><Contents><Key>k</Key><Size>1</Size></Contents>`, bad: true},
		{name: "cut in a tag", doc: `<ListBucketResult><Contents><Key>k</Key><Si`, bad: true},
		{name: "nothing", doc: ``, bad: true},
		{name: "an error where a listing should be", doc: `<Error><Code>InternalError</Code></Error>`, bad: true},
		{name: "a page of HTML", doc: `<!DOCTYPE html><html></html>`, bad: true},
		{name: "more pages, but no token", doc: `<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>`, bad: true},
		{name: "no size", doc: `<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>`, bad: true},
		{name: "no key", doc: `<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>`, bad: true},
		{name: "a size that is none", doc: `<ListBucketResult><Contents><Key>k</Key><Size>-1</Size></Contents></ListBucketResult>`,
			bad: true},
		{name: "crossed elements", doc: `<ListBucketResult><Contents></ListBucketResult></Contents>`, bad: true},
		{name: "two documents", doc: `<ListBucketResult/><ListBucketResult/>`, bad: true},
		{name: "text before", doc: `x<ListBucketResult/>`, bad: true},
		{name: "text after", doc: `<ListBucketResult/>x`, bad: true},
		{name: "an entity we do not know",
			doc: `<ListBucketResult><Contents><Key>&nbsp;</Key><Size>1</Size></Contents></ListBucketResult>`, bad: true},
		{name: "an entity without end",
			doc: `<ListBucketResult><Contents><Key>a&amp b</Key><Size>1</Size></Contents></ListBucketResult>`, bad: true},
		{name: "a character beyond Unicode",
			doc: `<ListBucketResult><Contents><Key>&#x110000;</Key><Size>1</Size></Contents></ListBucketResult>`, bad: true},
		{name: "URL encoding cut short",
			doc: `<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%2</Key><Size>1</Size></Contents>` +
				`</ListBucketResult>`, bad: true},
		{name: "URL encoding that is none",
			doc: `<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%zz</Key><Size>1</Size></Contents>` +
				`</ListBucketResult>`, bad: true},
		{name: "too deep", doc: strings.Repeat("<a>", maxDepth+1) + strings.Repeat("</a>", maxDepth+1), bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseListing([]byte(tt.doc))
			if tt.bad {
				if !errors.Is(err, errXML) {
					t.Fatalf("got %+v, %v", got, err)
				}
				return
			}
			if err != nil || !same(got, tt.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

// same compares two pages; one of no objects has no slice or an empty one.
func same(a, b listing) bool {
	return slices.Equal(a.objects, b.objects) && a.truncated == b.truncated && a.next == b.next
}

// FuzzListXML: a listing that encoding/xml wrote comes back as it was, and no
// document does harm.
func FuzzListXML(f *testing.F) {
	f.Add("a b+c", "%41<&>\"'", "tok&en", int64(5), true,
		`<ListBucketResult><Contents><Key>k</Key><Size>1</Size></Contents></ListBucketResult>`)
	f.Add("日本\n", "", "", int64(0), false, `<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%2</Key>`)
	type contents struct {
		Key  string
		Size int64
	}
	type result struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		Contents              []contents
		IsTruncated           bool
		NextContinuationToken string
		EncodingType          string
	}
	f.Fuzz(func(t *testing.T, a, b, token string, size int64, encoded bool, raw string) {
		_, _ = parseListing([]byte(raw)) // must not panic
		parseError([]byte(raw), &responseError{})
		_, _ = parseSession([]byte(raw))

		size = max(size, 0)
		if size >= 1e18 {
			size = 1e18 - 1
		}
		r := result{IsTruncated: token != "", NextContinuationToken: token}
		want := listing{truncated: token != "", next: token}
		for _, key := range []string{a, b} {
			c := contents{key, size}
			if encoded {
				r.EncodingType, c.Key = "url", url.QueryEscape(key)
			} else if !sayable(key) {
				return
			}
			r.Contents = append(r.Contents, c)
			want.objects = append(want.objects, fetch.Object{Key: key, Size: size})
		}
		if !sayable(token) {
			return
		}
		doc, err := xml.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseListing(doc)
		if err != nil || !same(got, want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", doc, got, err, want)
		}
	})
}

// sayable says whether XML 1.0 can hold every character of s.
func sayable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0xfffe && r <= 0xffff
	})
}

func TestErrorDocument(t *testing.T) {
	for _, tt := range []struct {
		name, doc string
		want      responseError
	}{
		{"as S3 sends it",
			xmlHead + `<Error><Code>SlowDown</Code><Message>Please reduce &lt;it&gt;</Message><RequestId>R</RequestId>` +
				`<HostId>h</HostId></Error>`,
			responseError{status: 503, code: "SlowDown", message: "Please reduce <it>", requestID: "R"}},
		{"a region", `<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>`,
			responseError{status: 503, code: "AuthorizationHeaderMalformed", region: "eu-west-1"}},
		{"empty", "", responseError{status: 503, code: "ServiceUnavailable"}},
		{"a proxy's page", "<html><body>Bad gateway</body></html>", responseError{status: 503, code: "ServiceUnavailable"}},
		{"cut short", "<Error><Code>SlowDown</Code>", responseError{status: 503, code: "ServiceUnavailable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := responseError{status: 503, code: StatusCode(503)}
			if parseError([]byte(tt.doc), &got); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestSession(t *testing.T) {
	const whole = `<CreateSessionResult><Credentials><SessionToken>t&amp;</SessionToken><SecretAccessKey>s</SecretAccessKey>` +
		`<AccessKeyId>a</AccessKeyId><Expiration>2026-07-01T12:00:00Z</Expiration></Credentials></CreateSessionResult>`
	got, err := parseSession([]byte(whole))
	if err != nil || got.SessionToken != "t&" || got.SecretAccessKey != "s" || got.AccessKeyID != "a" || !got.CanExpire ||
		!got.Expires.Equal(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, part := range []string{"<SessionToken>t&amp;</SessionToken>", "<SecretAccessKey>s</SecretAccessKey>",
		"<AccessKeyId>a</AccessKeyId>", "2026-07-01T12:00:00Z", "</Credentials>"} {
		if got, err := parseSession([]byte(strings.Replace(whole, part, "", 1))); err == nil {
			t.Errorf("without %s: %+v", part, got)
		}
	}
}

func BenchmarkListing(b *testing.B) {
	doc := xmlHead + `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>` +
		strings.Repeat(`<Contents><Key>objects/object-000001</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>`+
			`<ETag>&quot;0123456789abcdef0123456789abcdef&quot;</ETag><Size>12000</Size><StorageClass>STANDARD</StorageClass>`+
			`</Contents>`, 1000) +
		`</ListBucketResult>`
	b.ReportAllocs()
	for b.Loop() {
		if page, err := parseListing([]byte(doc)); err != nil || len(page.objects) != 1000 {
			b.Fatal(err)
		}
	}
}
