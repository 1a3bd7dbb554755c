package lab

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format's own, see below
	"encoding/binary"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"time"
	"unicode/utf16"
)

// trustStore is where Java finds the embedded S3's authority: it reads no PEM.
func (l *Lab) trustStore() string { return filepath.Join(l.Dir, "truststore.jks") }

// trustStorePassword is what keytool takes for one; it protects nothing, and
// Java reads the store without.
const trustStorePassword = "changeit"

// writeTrustStore writes the certificate of a PEM file as a Java key store.
func writeTrustStore(path, pemFile string) error {
	text, err := os.ReadFile(pemFile)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New(pemFile + ": no certificate")
	}
	return os.WriteFile(path, javaKeyStore(block.Bytes, time.Now()), 0o600)
}

// javaKeyStore is a key store of type JKS, version 2, with one trusted
// certificate (the layout is that of sun.security.provider.JavaKeyStore: big
// endian; in the end a SHA-1 of the password in UTF-16, a fixed text, and all
// before).
func javaKeyStore(certificate []byte, now time.Time) []byte {
	const magic, version, trusted = 0xFEEDFEED, 2, 2
	var b bytes.Buffer
	number := func(v any) { _ = binary.Write(&b, binary.BigEndian, v) } // a buffer takes everything
	word := func(text string) {
		number(uint16(len(text)))
		b.WriteString(text)
	}
	for _, v := range []uint32{magic, version, 1, trusted} {
		number(v)
	}
	word("fanout")
	number(now.UnixMilli())
	word("X.509")
	number(uint32(len(certificate)))
	b.Write(certificate)

	sum := sha1.New() //nolint:gosec // see above
	_ = binary.Write(sum, binary.BigEndian, utf16.Encode([]rune(trustStorePassword)))
	sum.Write([]byte("Mighty Aphrodite"))
	sum.Write(b.Bytes())
	return sum.Sum(b.Bytes())
}
