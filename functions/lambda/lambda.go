// Package lambda says what AWS Lambda is, once for the handler, the CDK app and
// the bench: its sizes and shares, its architectures, the REPORT line and the
// error object that it writes, and how this repository names the limits that a
// process ran under. It calls nothing; the Lambda API's client is the SDK's.
package lambda

import (
	"debug/elf"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
)

// Memory sizes that a function can have, in MB of 2^20 bytes
// (docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
const (
	MinMemoryMB = 128
	MaxMemoryMB = 10_240
)

// VCPUMemoryMB is the memory size that comes with one vCPU; below it the CPU
// share is linear (docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
const VCPUMemoryMB = 1769

// MaxVCPU is the most vCPUs that a function gets, at [MaxMemoryMB]
// (docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html).
const MaxVCPU = 6

// VCPU is the CPU share that a memory size buys, in vCPUs.
func VCPU(memoryMB int) float64 { return min(float64(memoryMB)/VCPUMemoryMB, MaxVCPU) }

// Threads is how many threads can use what a memory size buys: its vCPUs, rounded
// up. Lambda shows a function two CPUs or more whatever its share is; threads beyond
// it do not get more done, and wake each other up.
func Threads(memoryMB int) int { return int(math.Ceil(VCPU(memoryMB))) }

// CheckMemory refuses a memory size that Lambda does not have.
func CheckMemory(mb int) error {
	if mb < MinMemoryMB || mb > MaxMemoryMB {
		return fmt.Errorf("memory %d: must be %d to %d MB", mb, MinMemoryMB, MaxMemoryMB)
	}
	return nil
}

// Network bandwidth of one function, in bytes a second: 625 Mbit/s. Since August
// 2026, on request and outside a VPC, it grows with the memory size: it is the
// same up to QuotaFromMB and then grows in a line with memory, to 3,000 Mbit/s at
// [MaxMemoryMB] (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const (
	BandwidthBytesPerS     = 625e6 / 8
	MostBandwidthBytesPerS = 3000e6 / 8
	QuotaFromMB            = 2048
)

// Names of how a function's bandwidth depends on its memory size.
const (
	FlatBandwidth  = "flat"  // it does not
	QuotaBandwidth = "quota" // it grows from [QuotaFromMB] on
)

// CheckBandwidth refuses a name that is none of them.
func CheckBandwidth(how string) error {
	if how != FlatBandwidth && how != QuotaBandwidth {
		return fmt.Errorf("bandwidth %q: must be %s or %s", how, FlatBandwidth, QuotaBandwidth)
	}
	return nil
}

// Bandwidth is what a function of a memory size gets, in bytes a second. quota
// says that it grows with the memory size.
func Bandwidth(memoryMB int, quota bool) float64 {
	if !quota || memoryMB <= QuotaFromMB {
		return BandwidthBytesPerS
	}
	const perMB = (MostBandwidthBytesPerS - BandwidthBytesPerS) / (MaxMemoryMB - QuotaFromMB)
	return BandwidthBytesPerS + perMB*float64(min(memoryMB, MaxMemoryMB)-QuotaFromMB)
}

// Architectures, by the names that the Lambda API has for them.
const (
	X86 = "x86_64"
	ARM = "arm64"
)

// Architectures lists them.
var Architectures = []string{X86, ARM}

// Machine is what an architecture is called elsewhere.
type Machine struct {
	ELF    elf.Machine
	GOARCH string
	QEMU   string // the user-mode emulator of package qemu-user-static
	Loader string // the dynamic loader in provided.al2023, which is glibc's
}

// MachineOf gives an architecture's other names. The error says which
// architectures there are.
func MachineOf(arch string) (Machine, error) {
	switch arch {
	case X86:
		return Machine{elf.EM_X86_64, "amd64", "qemu-x86_64-static", "/lib64/ld-linux-x86-64.so.2"}, nil
	case ARM:
		return Machine{elf.EM_AARCH64, "arm64", "qemu-aarch64-static", "/lib/ld-linux-aarch64.so.1"}, nil
	}
	return Machine{}, fmt.Errorf("arch %q: must be %s", arch, strings.Join(Architectures, " or "))
}

// CheckArchitecture refuses an architecture that Lambda does not have.
func CheckArchitecture(arch string) error {
	_, err := MachineOf(arch)
	return err
}

// HostArchitecture is this machine's, or x86_64 where Lambda has none like it.
func HostArchitecture() string {
	i := slices.IndexFunc(Architectures, func(a string) bool {
		m, err := MachineOf(a)
		return err == nil && m.GOARCH == runtime.GOARCH
	})
	return Architectures[max(i, 0)]
}

// Suffixes of the names of S3 Express directory buckets, and of their access
// points; no other bucket's name ends so.
const (
	directorySuffix            = "--x-s3"
	directoryAccessPointSuffix = "--xa-s3"
)

// DirectoryBucket says whether a bucket is an S3 Express directory bucket or an
// access point of one, which its name tells (BASE--ZONE--x-s3, NAME--ZONE--xa-s3),
// and in which Availability Zone, by its ID, such as use1-az4. A name that only
// ends like one has no zone.
func DirectoryBucket(bucket string) (zone string, ok bool) {
	rest, ok := strings.CutSuffix(bucket, directorySuffix)
	if !ok {
		if rest, ok = strings.CutSuffix(bucket, directoryAccessPointSuffix); !ok {
			return "", false
		}
	}
	if i := strings.LastIndex(rest, "--"); i > 0 {
		zone = rest[i+2:]
	}
	return zone, true
}
