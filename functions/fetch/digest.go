package fetch

import (
	"fmt"
	"hash/crc32"
	"strconv"
)

// castagnoli is CRC-32C: both amd64 and arm64 have instructions for it, so
// that checking each byte costs far less than decrypting it.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Digest is an order-independent checksum of a set of objects: it changes
// when a key or a body changes, when two bodies are swapped, and when an
// object is missing or read twice. It guards against mistakes, not attackers.
type Digest uint64

// Add takes in one object: its key and the CRC-32C of its whole body.
func (d *Digest) Add(key string, bodyCRC uint32) {
	*d += Digest(mix(uint64(crc32.Checksum([]byte(key), castagnoli))<<32 | uint64(bodyCRC)))
}

// Merge takes in all objects of another digest.
func (d *Digest) Merge(other Digest) { *d += other }

// String gives 16 hexadecimal digits.
func (d Digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }

// ParseDigest reads what String gives.
func ParseDigest(s string) (Digest, error) {
	d, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 {
		return 0, fmt.Errorf("digest %q: must be 16 hexadecimal digits", s)
	}
	return Digest(d), nil
}

// BodyCRC continues the CRC-32C of a body with its next bytes; a body starts
// at 0.
func BodyCRC(crc uint32, p []byte) uint32 { return crc32.Update(crc, castagnoli, p) }

// joinCRC gives the CRC-32C of a body from those of its two parts; nextBytes is how
// long the second one is. A CRC is the body's polynomial modulo the CRC's own: in
// front of n bytes, it is multiplied by x to the power of 8n.
func joinCRC(crc, next uint32, nextBytes int64) uint32 {
	const xToThe8 = 1 << 23
	for power := uint32(xToThe8); nextBytes > 0; nextBytes >>= 1 {
		if nextBytes&1 != 0 {
			crc = multiply(crc, power)
		}
		power = multiply(power, power)
	}
	return crc ^ next
}

// multiply gives the product of two polynomials modulo that of CRC-32C. As in the
// CRC, the highest bit is the factor of x to the power of 0.
func multiply(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		b = b>>1 ^ b&1*crc32.Castagnoli
	}
	return product
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). It
// ties a key to its body: a plain sum would not see two bodies swapped.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
