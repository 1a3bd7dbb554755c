package objects

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// apiError is an S3 error answer.
type apiError struct {
	status        int
	code, message string
	fields        []field // that S3 adds for this code
}

// field is an element of an error answer.
type field struct{ name, value string }

// with gives e with a field more.
func (e *apiError) with(name, value string) *apiError {
	c := *e
	c.fields = append(c.fields[:len(c.fields):len(c.fields)], field{name, value})
	return &c
}

// saying gives e with another message.
func (e *apiError) saying(format string, args ...any) *apiError {
	c := *e
	c.message = fmt.Sprintf(format, args...)
	return &c
}

// The errors that S3 documents, with its messages (Error responses, in the API
// reference).
var (
	errAnonymous = newError(http.StatusForbidden, "AccessDenied", "Access Denied")
	errDenied    = newError(http.StatusForbidden, "AccessDenied", "Access Denied")
	errBadDigest = newError(http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received.")
	errBadXML    = newError(http.StatusBadRequest, "MalformedXML",
		"The XML you provided was not well-formed or did not validate against our published schema")
	errBucketIsOurs = newError(http.StatusConflict, "BucketAlreadyOwnedByYou",
		"Your previous request to create the named bucket succeeded and you already own it.")
	errBucketFull = newError(http.StatusConflict, "BucketNotEmpty", "The bucket you tried to delete is not empty")
	errIncomplete = newError(http.StatusBadRequest, "IncompleteBody",
		"You did not provide the number of bytes specified by the Content-Length HTTP header")
	errInternal      = newError(http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	errArgument      = newError(http.StatusBadRequest, "InvalidArgument", "Invalid Argument")
	errBucketName    = newError(http.StatusBadRequest, "InvalidBucketName", "The specified bucket is not valid.")
	errInvalidDigest = newError(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified is not valid.")
	errInvalidPart   = newError(http.StatusBadRequest, "InvalidPart",
		"One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "+
			"entity tag may not match the part's entity tag.")
	errPartOrder = newError(http.StatusBadRequest, "InvalidPartOrder",
		"The list of parts was not in ascending order. Parts must be ordered by part number.")
	errRange      = newError(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
	errRequest    = newError(http.StatusBadRequest, "InvalidRequest", "Invalid Request")
	errURI        = newError(http.StatusBadRequest, "InvalidURI", "Couldn't parse the specified URI.")
	errKeyTooLong = newError(http.StatusBadRequest, "KeyTooLongError", "Your key is too long")
	errTrailer    = newError(http.StatusBadRequest, "MalformedTrailerError",
		"The request contained trailing data that was not well-formed or did not conform to our published schema.")
	errMetadata = newError(http.StatusBadRequest, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
	errMethod   = newError(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	errLength   = newError(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	errNoBucket = newError(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	errNoKey    = newError(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
	errNoUpload = newError(http.StatusNotFound, "NoSuchUpload",
		"The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
	errNoVersion    = newError(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist.")
	errNotModified  = newError(http.StatusNotModified, "NotModified", "Not Modified")
	errNotImplement = newError(http.StatusNotImplemented, "NotImplemented",
		"A header you provided implies functionality that is not implemented")
	errPartNumber   = newError(http.StatusRequestedRangeNotSatisfiable, "InvalidPartNumber", "The requested partnumber is not satisfiable")
	errPrecondition = newError(http.StatusPreconditionFailed, "PreconditionFailed",
		"At least one of the pre-conditions you specified did not hold")
	errSlowDown    = newError(http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
	errTag         = newError(http.StatusBadRequest, "InvalidTag", "The tag provided was not a valid tag.")
	errTooLarge    = newError(http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
	errTooSmall    = newError(http.StatusBadRequest, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
	errPayloadHash = newError(http.StatusBadRequest, "XAmzContentSHA256Mismatch",
		"The provided 'x-amz-content-sha256' header does not match what was computed.")
	errChunkMismatch = newError(http.StatusForbidden, "SignatureDoesNotMatch",
		"The signature of a chunk does not match the one we calculated.")
	errNotThisHost = newError(http.StatusBadRequest, "InvalidBucketName", "The host does not name a bucket.")
)

func newError(status int, code, message string) *apiError {
	return &apiError{status: status, code: code, message: message}
}

// badArgument is S3's answer to a parameter or header that it cannot take.
func badArgument(name, value, format string, args ...any) *apiError {
	return errArgument.saying(format, args...).with("ArgumentName", name).with("ArgumentValue", value)
}

// writeError answers with e. A HEAD, and a 304, have no body.
func writeError(w http.ResponseWriter, r *http.Request, e *apiError) {
	h := w.Header()
	if e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return
	}
	x := newXML("Error", "")
	x.text("Code", e.code)
	x.text("Message", strings.Map(replaceControl, e.message))
	for _, f := range e.fields {
		x.text(f.name, strings.Map(replaceControl, f.value))
	}
	x.text("Resource", r.URL.EscapedPath())
	x.text("RequestId", h.Get("X-Amz-Request-Id"))
	x.text("HostId", h.Get("X-Amz-Id-2"))
	for _, name := range []string{"Etag", "Accept-Ranges", "Last-Modified", "Content-Encoding"} {
		h.Del(name) // of an object that is not sent
	}
	x.write(w, r, e.status)
}

// replaceControl is for what XML 1.0 cannot hold: an error that its reader
// cannot read would be another error.
func replaceControl(r rune) rune {
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
		return utf8.RuneError
	}
	return r
}

// requestID gives 16 digits, different for each request of a server.
func (s *Server) requestID() string {
	n := s.requests.Add(1)
	var b, text [8 * 2]byte
	for i := range 8 {
		b[i] = byte(n >> (56 - 8*i))
	}
	hex.Encode(text[:], b[:8])
	return string(text[:])
}
