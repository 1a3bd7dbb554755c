package objects

import (
	"cmp"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// validBucketName says whether S3 takes a name: 3 to 63 lower-case letters,
// digits, hyphens and dots, which are not side by side, and no IP address.
func validBucketName(name string) bool {
	return bucketName.MatchString(name) && !strings.Contains(name, "..") && net.ParseIP(name) == nil
}

// createBucket answers CreateBucket. Who creates a bucket of its own again is
// told so, but in us-east-1.
func (s *Server) createBucket(c *call) *apiError {
	if !validBucketName(c.bucket) {
		return errBucketName.with("BucketName", c.bucket)
	}
	if strings.EqualFold(c.r.Header.Get("X-Amz-Bucket-Object-Lock-Enabled"), "true") {
		return errNotImplement.with("Header", "x-amz-bucket-object-lock-enabled")
	}
	body, refusal := openBody(c.r, c.signature)
	if refusal != nil {
		return refusal
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.w, io.NopCloser(body), maxXMLBytes))
	if err != nil {
		return bodyError(err)
	}
	if len(text) > 0 {
		var configuration struct {
			XMLName            xml.Name `xml:"CreateBucketConfiguration"`
			LocationConstraint string
		}
		if xml.Unmarshal(text, &configuration) != nil {
			return errBadXML
		}
		if where := configuration.LocationConstraint; where != "" && where != s.region {
			return newError(http.StatusBadRequest, "IllegalLocationConstraintException",
				"The "+where+" location constraint is incompatible for the region specific endpoint this request was sent to.")
		}
	}
	if refusal := s.store.createBucket(c.bucket); refusal != nil && (refusal.code != errBucketIsOurs.code || s.region != DefaultRegion) {
		return refusal
	}
	c.w.Header().Set("Location", "/"+c.bucket)
	return nil
}

// deleteBucket answers DeleteBucket.
func (s *Server) deleteBucket(c *call) *apiError {
	if refusal := s.store.deleteBucket(c.bucket); refusal != nil {
		return refusal
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// headBucket answers HeadBucket.
func (s *Server) headBucket(c *call) *apiError {
	c.w.Header().Set("X-Amz-Bucket-Region", s.region)
	_, refusal := s.store.bucketVersioning(c.bucket)
	return refusal
}

// bucketLocation answers GetBucketLocation, which has no name for us-east-1.
func (s *Server) bucketLocation(c *call) *apiError {
	if _, refusal := s.store.bucketVersioning(c.bucket); refusal != nil {
		return refusal
	}
	x := newXML("LocationConstraint", xmlNamespace)
	if s.region != DefaultRegion {
		x.b = appendXMLText(x.b, s.region)
	}
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// bucketVersioning gives the versioning of a bucket, and so whether it exists.
func (s *store) bucketVersioning(name string) (versioning string, refusal *apiError) {
	refusal = s.view(name, func(b *bucket) *apiError {
		versioning = b.versioning
		return nil
	})
	return versioning, refusal
}

// getVersioning answers GetBucketVersioning.
func (s *Server) getVersioning(c *call) *apiError {
	versioning, refusal := s.store.bucketVersioning(c.bucket)
	if refusal != nil {
		return refusal
	}
	x := newXML("VersioningConfiguration", xmlNamespace)
	x.optional("Status", versioning)
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// putVersioning answers PutBucketVersioning.
func (s *Server) putVersioning(c *call) *apiError {
	var configuration struct {
		XMLName   xml.Name `xml:"VersioningConfiguration"`
		Status    string
		MFADelete string `xml:"MfaDelete"`
	}
	if refusal := s.readCheckedXML(c, &configuration); refusal != nil {
		return refusal
	}
	switch {
	case configuration.MFADelete == versioningEnabled:
		return errNotImplement.with("Header", "MfaDelete")
	case configuration.Status != versioningEnabled && configuration.Status != versioningSuspended:
		return newError(http.StatusBadRequest, "IllegalVersioningConfigurationException",
			"The Versioning element must be specified")
	}
	return s.store.edit(c.bucket, func(b *bucket) *apiError {
		b.versioning = configuration.Status
		return nil
	})
}

// getACL answers GetBucketAcl and GetObjectAcl: the owner may do everything.
func (s *Server) getACL(c *call) *apiError {
	var refusal *apiError
	if c.key == "" {
		_, refusal = s.store.bucketVersioning(c.bucket)
	} else {
		_, refusal = s.lookUp(c)
	}
	if refusal != nil {
		return refusal
	}
	x := newXML("AccessControlPolicy", xmlNamespace)
	x.owner("Owner")
	x.b = append(x.b, `<AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`...)
	x.text("ID", ownerID)
	x.text("DisplayName", "fanout")
	x.b = append(x.b, "</Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>"...)
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// notConfigured is what S3 says of the configurations that a bucket has not.
var notConfigured = map[string]*apiError{
	"cors": newError(http.StatusNotFound, "NoSuchCORSConfiguration", "The CORS configuration does not exist"),
	"lifecycle": newError(http.StatusNotFound, "NoSuchLifecycleConfiguration",
		"The lifecycle configuration does not exist"),
	"object-lock": newError(http.StatusNotFound, "ObjectLockConfigurationNotFoundError",
		"Object Lock configuration does not exist for this bucket"),
	"ownershipControls": newError(http.StatusNotFound, "OwnershipControlsNotFoundError",
		"The bucket ownership controls were not found"),
	"policy": newError(http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist"),
	"publicAccessBlock": newError(http.StatusNotFound, "NoSuchPublicAccessBlockConfiguration",
		"The public access block configuration was not found"),
	"replication": newError(http.StatusNotFound, "ReplicationConfigurationNotFoundError",
		"The replication configuration was not found"),
	"tagging": newError(http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist"),
	"website": newError(http.StatusNotFound, "NoSuchWebsiteConfiguration",
		"The specified bucket does not have a website configuration"),
	"encryption": newError(http.StatusNotFound, "ServerSideEncryptionConfigurationNotFoundError",
		"The server side encryption configuration was not found"),
}

// getNotConfigured answers for those.
func (s *Server) getNotConfigured(c *call) *apiError {
	if _, refusal := s.store.bucketVersioning(c.bucket); refusal != nil {
		return refusal
	}
	return notConfigured[c.sub].with("BucketName", c.bucket)
}

// tag is one of an object's tags.
type tag struct {
	Key   string
	Value string
}

// tagging is the XML of a set of them.
type tagging struct {
	XMLName xml.Name `xml:"Tagging"`
	Tags    []tag    `xml:"TagSet>Tag"`
}

// checkTags holds a set of tags against S3's limits, and puts it in order.
func checkTags(tags []tag) ([]tag, *apiError) {
	if len(tags) > 10 {
		return nil, newError(http.StatusBadRequest, "BadRequest", "Object tags cannot be greater than 10")
	}
	slices.SortFunc(tags, func(x, y tag) int { return cmp.Compare(x.Key, y.Key) })
	for i, t := range tags {
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > 128:
			return nil, errTag.saying("The TagKey you have provided is invalid")
		case utf8.RuneCountInString(t.Value) > 256:
			return nil, errTag.saying("The TagValue you have provided is invalid")
		case i > 0 && tags[i-1].Key == t.Key:
			return nil, errTag.saying("Cannot provide multiple Tags with the same key")
		}
	}
	return tags, nil
}

// parseTagging reads tags as a header has them: a query.
func parseTagging(header string) ([]tag, *apiError) {
	values, err := url.ParseQuery(header)
	if err != nil {
		return nil, badArgument("x-amz-tagging", header, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query "+
			"parameters without tag name duplicates.")
	}
	var tags []tag
	for name, all := range values {
		for _, value := range all {
			tags = append(tags, tag{name, value})
		}
	}
	return checkTags(tags)
}

// getTagging answers GetObjectTagging.
func (s *Server) getTagging(c *call) *apiError {
	v, refusal := s.lookUp(c)
	if refusal != nil {
		return refusal
	}
	x := newXML("Tagging", xmlNamespace)
	x.open("TagSet")
	for _, t := range v.tags {
		x.open("Tag")
		x.text("Key", t.Key)
		x.text("Value", t.Value)
		x.close("Tag")
	}
	x.close("TagSet")
	x.write(c.w, c.r, http.StatusOK)
	return nil
}

// putTagging answers PutObjectTagging.
func (s *Server) putTagging(c *call) *apiError {
	var set tagging
	if refusal := s.readCheckedXML(c, &set); refusal != nil {
		return refusal
	}
	tags, refusal := checkTags(set.Tags)
	if refusal != nil {
		return refusal
	}
	return s.setTags(c, tags)
}

// deleteTagging answers DeleteObjectTagging.
func (s *Server) deleteTagging(c *call) *apiError {
	if refusal := s.setTags(c, nil); refusal != nil {
		return refusal
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// setTags replaces the version that c names by one like it with these tags.
func (s *Server) setTags(c *call, tags []tag) *apiError {
	id := c.param("versionId")
	return s.store.edit(c.bucket, func(b *bucket) *apiError {
		versions := slices.Clone(b.versions(c.key))
		i := len(versions) - 1
		if id != "" {
			i = slices.IndexFunc(versions, func(v *version) bool { return v.id == id })
		}
		if i < 0 || versions[i].marker {
			return errNoKey.with("Key", c.key)
		}
		v := *versions[i]
		v.tags = tags
		versions[i] = v.finish()
		b.set(c.key, versions)
		return nil
	})
}
