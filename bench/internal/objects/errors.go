package objects

import "net/http"

// apiError is an S3 error answer.
type apiError struct {
	status        int
	code, message string
}

var (
	errAnonymous   = &apiError{http.StatusForbidden, "AccessDenied", "Access Denied"}
	errSlowDown    = &apiError{http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."}
	errNoSuchKey   = &apiError{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
	errNoBucket    = &apiError{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"}
	errBadXML      = &apiError{http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"}
	errInternal    = &apiError{http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."}
	errNotThisHost = &apiError{http.StatusBadRequest, "InvalidBucketName", "The host does not name a bucket."}
)
