package lean

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"fanout/functions/lambda"
)

// endpoint is where a bucket's requests go.
type endpoint struct {
	scheme    string
	address   string // to dial, HOST:PORT
	authority string // Host header; the port is left out where it is the scheme's own
	prefix    string // of the path, escaped: /BUCKET in path style
	region    string // to sign for
	service   string
	express   bool   // needs a session
	proxy     string // URL of the proxy to ask for a tunnel to address; empty: none
}

// globalRegion is what the SDKs call S3 without a region in its host, and globalIn
// the region that it is in.
const (
	globalRegion = "aws-global"
	globalIn     = "us-east-1"
)

// resolve gives the endpoint of a bucket's name or access point's ARN in a
// region: the one that the SDK's rules give, or an error if there is none or
// lean cannot use it.
func (c Config) resolve(bucket, region string) (endpoint, error) {
	custom, err := c.customEndpoint()
	if err != nil {
		return endpoint{}, err
	}
	if c.FIPS && partitionOf(region).name == "aws-cn" {
		return endpoint{}, fmt.Errorf("region %s has no FIPS endpoints", region)
	}
	e := endpoint{scheme: "https", region: region, service: "s3"}
	label, service, virtual, err := c.name(bucket, custom, &e)
	if err != nil {
		return endpoint{}, err
	}
	host, port := "", ""
	if custom == nil {
		host = c.awsHost(service, &e)
	} else {
		if region == globalRegion && service == "s3" {
			e.region = globalIn
		}
		e.scheme, host, port = custom.Scheme, custom.Hostname(), custom.Port()
		e.prefix = strings.TrimRight(custom.EscapedPath(), "/")
		// A name in front of an address is no name, and one in front of
		// localhost does not resolve everywhere.
		named := net.ParseIP(host) == nil && host != "localhost"
		if strings.HasPrefix(bucket, "arn:") && !named {
			return endpoint{}, fmt.Errorf("bucket %q: an access point needs an endpoint with a name, not %s", bucket, host)
		}
		virtual = virtual && named
	}
	if virtual {
		host = label + "." + host
	} else {
		e.prefix = string(appendQuery([]byte(e.prefix+"/"), bucket))
	}
	e.authority = host
	if strings.Contains(host, ":") {
		e.authority = "[" + host + "]"
	}
	standard := map[string]string{"https": "443", "http": "80"}[e.scheme]
	if port == "" {
		port = standard
	}
	e.address = net.JoinHostPort(host, port)
	if port != standard {
		e.authority = e.address
	}
	return c.throughProxy(e)
}

// name takes a bucket's name or ARN apart: the label that stands for it in a
// host's name, whether it may stand there, and the name of the service behind it.
// It sets what in e depends on that.
func (c Config) name(bucket string, custom *url.URL, e *endpoint) (label, service string, virtual bool, err error) {
	fips := ""
	if c.FIPS {
		fips = "-fips"
	}
	plainHTTP := custom != nil && custom.Scheme == "http" // no certificate that a dot would not fit
	virtual = virtualHostable(bucket, plainHTTP)
	zone, directory := lambda.DirectoryBucket(bucket)
	switch {
	case strings.HasPrefix(bucket, "arn:"):
		name, account, region, err := accessPoint(bucket)
		switch {
		case err != nil:
			return "", "", false, err
		case partitionOf(region) != partitionOf(e.region):
			return "", "", false, fmt.Errorf("bucket %q: in another partition than region %s", bucket, e.region)
		case region != e.region && c.RefuseARNRegion:
			return "", "", false, fmt.Errorf("bucket %q: in another region than %s, and s3_use_arn_region is false", bucket, e.region)
		}
		e.region = region
		return name + "-" + account, "s3-accesspoint" + fips, true, nil
	case directory && (zone == "" && custom == nil || !virtual):
		return "", "", false, fmt.Errorf("bucket %q: a directory bucket is called BASE--ZONE--x-s3, "+
			"and its access points NAME--ZONE--xa-s3", bucket)
	case directory:
		e.service, e.express = "s3express", !c.DisableExpressSession
		return bucket, "s3express" + fips + "-" + zone, true, nil
	case strings.HasSuffix(bucket, "--op-s3"):
		return "", "", false, fmt.Errorf("bucket %q: lean does not read from S3 on Outposts", bucket)
	}
	return bucket, "s3" + fips, virtual, nil
}

// awsHost is the host of a service in e's region.
func (c Config) awsHost(service string, e *endpoint) string {
	suffix, stack := "."+partitionOf(e.region).suffix, ""
	if c.DualStack {
		stack = ".dualstack"
	}
	if e.region == globalRegion && (service == "s3" || service == "s3-fips") {
		if e.region = globalIn; service+stack == "s3" {
			return service + suffix
		}
	}
	return service + stack + "." + e.region + suffix
}

// throughProxy gives e with the proxy that it is reached through.
func (c Config) throughProxy(e endpoint) (endpoint, error) {
	e.proxy = ""
	if c.Proxy == nil {
		return e, nil
	}
	proxy, err := c.Proxy(&url.URL{Scheme: e.scheme, Host: e.authority})
	switch {
	case err != nil:
		return endpoint{}, fmt.Errorf("proxy for %s: %w", e.authority, withoutURL(err))
	case proxy == nil:
		return e, nil
	case proxy.Scheme != "http" && proxy.Scheme != "https" || proxy.Hostname() == "":
		return endpoint{}, fmt.Errorf("proxy for %s: %s: lean knows http://HOST and https://HOST", e.authority, proxy.Redacted())
	case e.scheme != "https":
		return endpoint{}, fmt.Errorf("proxy for %s: lean reads through a proxy over HTTPS only; add the host to NO_PROXY", e.authority)
	}
	e.proxy = proxy.String()
	return e, nil
}

// virtualHostable says whether a bucket's name can stand in front of the host's;
// dots says whether it may have dots, which the host's certificate does not fit.
func virtualHostable(bucket string, dots bool) bool {
	labels := []string{bucket}
	if dots {
		labels = strings.Split(bucket, ".")
	}
	return net.ParseIP(bucket) == nil && !slices.ContainsFunc(labels, func(label string) bool {
		return len(label) < 3 || len(label) > 63 || strings.Trim(label, labelBytes) != ""
	})
}

const labelBytes = "abcdefghijklmnopqrstuvwxyz0123456789-"

// isLabel says whether s can be one label of a host name.
func isLabel(s string) bool {
	return s != "" && strings.Trim(s, labelBytes) == "" && s[0] != '-' && s[len(s)-1] != '-'
}

// accessPoint takes arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME apart.
func accessPoint(arn string) (name, account, region string, err error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) == 6 && parts[1] != "" && parts[2] == "s3" {
		name, ok := strings.CutPrefix(parts[5], "accesspoint")
		if ok && (strings.HasPrefix(name, "/") || strings.HasPrefix(name, ":")) &&
			isLabel(name[1:]) && isLabel(parts[3]) && isLabel(parts[4]) {
			return name[1:], parts[4], parts[3], nil
		}
	}
	return "", "", "", fmt.Errorf("bucket %q: of ARNs, lean reads arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME; "+
		"the other clients read more kinds", arn)
}

// SamePartition says whether two regions take the same credentials; what is no
// region takes none.
func SamePartition(a, b string) bool {
	return isLabel(a) && isLabel(b) && partitionOf(a) == partitionOf(b)
}

// partition is a part of AWS with domain and credentials of its own.
type partition struct {
	name     string   // aws, aws-cn, ...
	suffix   string   // of its hosts: amazonaws.com, ...
	prefixes []string // of its regions' names, before -WORD-NUMBER: those to come begin so, too
	regions  []string
}

//go:generate go test -run TestPartitionTable -update .

// partitionOf gives a region's partition; of a region that no partition knows,
// AWS's own, as the SDKs do.
func partitionOf(region string) *partition {
	for i := range partitions {
		if slices.Contains(partitions[i].regions, region) {
			return &partitions[i]
		}
	}
	rest, number, _ := cutLast(region, '-')
	prefix, word, ok := cutLast(rest, '-')
	if ok && isWord(word) && number != "" && strings.Trim(number, "0123456789") == "" {
		for i := range partitions {
			if slices.Contains(partitions[i].prefixes, prefix) {
				return &partitions[i]
			}
		}
	}
	return &partitions[0]
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// isWord says whether s matches the regular expression \w+.
func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
