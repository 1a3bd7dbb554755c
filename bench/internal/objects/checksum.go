package objects

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"net/textproto"
	"strings"
)

// checksumAlgorithm is one of S3's: by it objects are checked on their way.
type checksumAlgorithm struct {
	name string // as in ChecksumCRC32, and x-amz-checksum-algorithm
	make func() hash.Hash
	// fullOnly: an object of several parts has that of the whole, never one of
	// the parts' checksums.
	fullOnly bool
	// composite: without being asked for another, an object of several parts
	// has one of the parts' checksums.
	composite bool
}

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	crc64NVME  = crc64.MakeTable(0x9a6c_9329_ac4b_c9b5)

	checksumAlgorithms = []checksumAlgorithm{
		{"CRC32", func() hash.Hash { return crc32.NewIEEE() }, false, true},
		{"CRC32C", func() hash.Hash { return crc32.New(castagnoli) }, false, true},
		{"CRC64NVME", func() hash.Hash { return crc64.New(crc64NVME) }, true, false},
		{"SHA1", sha1.New, false, true},
		{"SHA256", sha256.New, false, true},
	}
	// defaultAlgorithm is what S3 makes of an object that came with none.
	defaultAlgorithm = &checksumAlgorithms[2]
)

const checksumPrefix = "X-Amz-Checksum-"

// header is where the checksum stands: X-Amz-Checksum-Crc32.
func (a *checksumAlgorithm) header() string {
	return checksumPrefix + a.name[:1] + strings.ToLower(a.name[1:])
}

// element is its name in XML: ChecksumCRC32.
func (a *checksumAlgorithm) element() string { return "Checksum" + a.name }

// algorithmNamed gives the algorithm of that name, in any case, or nil.
func algorithmNamed(name string) *checksumAlgorithm {
	for i := range checksumAlgorithms {
		if strings.EqualFold(checksumAlgorithms[i].name, name) {
			return &checksumAlgorithms[i]
		}
	}
	return nil
}

// checks are what the headers of a request say of its body.
type checks struct {
	md5       []byte             // nil: not said
	algorithm *checksumAlgorithm // nil: none is named
	value     string             // base64; "": in the trailer, or not said
	inTrailer bool
}

// readChecks reads the headers that are about the body.
func readChecks(h http.Header) (c checks, refusal *apiError) {
	if values, ok := h["Content-Md5"]; ok {
		var err error
		if c.md5, err = base64.StdEncoding.DecodeString(values[0]); err != nil || len(c.md5) != md5.Size {
			return c, errInvalidDigest
		}
	}
	for name, values := range h {
		a := algorithmNamed(strings.TrimPrefix(name, checksumPrefix))
		if a == nil || name != a.header() {
			continue
		}
		if c.algorithm != nil {
			return c, errRequest.saying("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		sum, err := base64.StdEncoding.DecodeString(values[0])
		if err != nil || len(sum) != a.make().Size() {
			return c, errRequest.saying("Value for %s header is invalid.", strings.ToLower(name))
		}
		c.algorithm, c.value = a, values[0]
	}
	if trailer := h.Get("X-Amz-Trailer"); trailer != "" {
		name := textproto.CanonicalMIMEHeaderKey(trailer)
		a := algorithmNamed(strings.TrimPrefix(name, checksumPrefix))
		if a == nil || name != a.header() {
			return c, errRequest.saying("The value specified in the x-amz-trailer header is not supported")
		}
		if c.algorithm != nil {
			return c, errRequest.saying("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		c.algorithm, c.inTrailer = a, true
	}
	if name := h.Get("X-Amz-Sdk-Checksum-Algorithm"); name != "" {
		switch a := algorithmNamed(name); {
		case a == nil:
			return c, errRequest.saying("Checksum algorithm provided is unsupported. Please try again with any of the valid types: " +
				"[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
		case c.algorithm == nil:
			return c, errRequest.saying("x-amz-sdk-checksum-algorithm specified, but no corresponding " +
				"x-amz-checksum-* or x-amz-trailer headers were found.")
		case a != c.algorithm:
			return c, errRequest.saying("Value for x-amz-sdk-checksum-algorithm header is invalid.")
		}
	}
	return c, nil
}

// digests are made of a body while it is read: its MD5, and one of S3's
// checksums.
type digests struct {
	md5, sum hash.Hash
	of       *checksumAlgorithm
}

func newDigests(of *checksumAlgorithm) *digests {
	return &digests{md5.New(), of.make(), of}
}

func (d *digests) Write(p []byte) (int, error) {
	d.md5.Write(p) // hashes never fail
	return d.sum.Write(p)
}

// checksum is the one of S3's, in base64.
func (d *digests) checksum() string { return base64.StdEncoding.EncodeToString(d.sum.Sum(nil)) }

// check holds what the sender said against what came.
func (d *digests) check(c checks, trailer map[string]string) *apiError {
	if c.md5 != nil && string(c.md5) != string(d.md5.Sum(nil)) {
		return errBadDigest
	}
	want := c.value
	if c.inTrailer {
		if want = trailer[strings.ToLower(c.algorithm.header())]; want == "" {
			return errTrailer
		}
	}
	if want != "" && want != d.checksum() {
		return errBadDigest.saying("The %s you specified did not match the calculated checksum.", c.algorithm.name)
	}
	return nil
}
