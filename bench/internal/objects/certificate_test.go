package objects

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

// What OpenSSL checks of a chain with X509_V_FLAG_X509_STRICT, as Python does
// by default since 3.13.
func TestCertificatesAreStrict(t *testing.T) {
	now := time.Now()
	authority, leaf, err := certificates(now)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(authority)
	if block == nil || len(rest) > 0 {
		t.Fatalf("not one certificate: %s", authority)
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(leaf.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		ok   bool
	}{
		{"the authority has a key identifier", len(ca.SubjectKeyId) > 0},
		{"the leaf names it", bytes.Equal(cert.AuthorityKeyId, ca.SubjectKeyId) && len(cert.AuthorityKeyId) > 0},
		{"the authority may sign certificates", ca.IsCA && ca.KeyUsage&x509.KeyUsageCertSign != 0},
		{"the leaf may not", !cert.IsCA},
		{"names differ from issuer to subject", cert.Subject.String() != cert.Issuer.String()},
		{"serial numbers are positive and differ", ca.SerialNumber.Sign() > 0 && ca.SerialNumber.Cmp(cert.SerialNumber) != 0},
	} {
		if !row.ok {
			t.Errorf("not so: %s", row.name)
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, name := range []string{"127.0.0.1", "localhost", "bucket.localhost"} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		later := now.AddDate(0, 3, 0) // a sandbox may run on for months
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: later}); err != nil {
			t.Errorf("%s, in a sandbox that runs on: %v", name, err)
		}
	}
}
