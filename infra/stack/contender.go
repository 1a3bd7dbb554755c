package stack

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"fanout/functions/lambda"
)

// Contender is one implementation of the function.
type Contender struct {
	Name string // GoContender, or another's

	// Zips are paths of packages, by architecture; on one that is not among
	// them the contender is not deployed. GoContender has none: its packages
	// are in the build folder.
	Zips map[string]string
}

// on says whether there is something to deploy on an architecture.
func (c Contender) on(arch string) bool { return c.Name == GoContender || c.Zips[arch] != "" }

// zipKey begins the keys that name contenders' packages: contenderZip.NAME,
// where the stack has one architecture, and contenderZip.NAME.ARCHITECTURE.
const zipKey = "contenderZip."

// contenderRE is what stays readable, and can be read back, as the end of an
// output's name. ownNames end IDs of the stack's own: Fetch128ArmLogs.
var (
	contenderRE = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)
	ownNames    = []string{"arn", "logs", "output", "role"}
)

// contenders reads who is compared, and where their packages are.
func (r *reader) contenders(archs []string) []Contender {
	const hint = "names of up to 16 small letters and digits, each once; " + GoContender + " is this repository's own"
	names := []string{GoContender}
	if v, ok := r.get("contenders"); ok {
		var isList bool
		if names, isList = split(v); !isList || len(names) == 0 {
			r.fail("contenders", "not a list of names", hint)
			return nil
		}
	}
	var all []Contender
	for i, name := range names {
		switch {
		case !contenderRE.MatchString(name):
			r.fail("contenders", fmt.Sprintf("%q is no such name", name), hint)
		case slices.Contains(ownNames, name):
			r.fail("contenders", fmt.Sprintf("%q is what the stack calls a part of each function", name), hint+"; not "+strings.Join(ownNames, ", "))
		case slices.Contains(names[:i], name):
			r.fail("contenders", fmt.Sprintf("%q is listed twice", name), hint)
		}
		c := Contender{Name: name}
		if name != GoContender {
			c.Zips = r.zips(name, archs)
		}
		all = append(all, c)
	}
	for _, key := range slices.Sorted(maps.Keys(r.context)) {
		if strings.HasPrefix(key, zipKey) && !slices.Contains(r.known, key) {
			r.fail(key, "means nothing with these contenders and architectures",
				zipKey+"NAME or "+zipKey+"NAME.ARCHITECTURE, of those; "+GoContender+" has none")
		}
	}
	return all
}

// zips reads where one contender's packages are.
func (r *reader) zips(name string, archs []string) map[string]string {
	zips := map[string]string{}
	key := zipKey + name
	read := func(key, arch string) {
		v, ok := r.get(key)
		if !ok {
			return
		}
		text, _ := v.(string)
		if !strings.HasSuffix(text, ".zip") {
			r.fail(key, "not a zip", "the path of a zip that contains a bootstrap for "+arch)
		}
		zips[arch] = text
	}
	for _, arch := range archs {
		read(key+"."+arch, arch)
	}
	if len(archs) == 1 && len(zips) == 0 {
		read(key, archs[0])
	}
	if len(zips) > 0 {
		return zips
	}
	allowed := key + "." + strings.Join(archs, "=PATH or "+key+".") + "=PATH, a zip that contains a bootstrap for that architecture"
	if len(archs) == 1 {
		allowed = key + "=PATH, a zip that contains a bootstrap for " + archs[0]
	} else if _, ok := r.get(key); ok {
		r.fail(key, "for which of "+strings.Join(archs, " and ")+"?", allowed)
	}
	r.fail("contenders", fmt.Sprintf("no package named for %q", name), allowed)
	return nil
}

// maxPackageBytes is how much a function's code may be once it is unpacked, its
// layers included: 250 MB of 2^20 bytes
// (docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxPackageBytes = 250 << 20

// checkZip finds out what Lambda would say at the deployment, minutes later, or
// only at the first invocation: that a package has no bootstrap, or one that
// cannot be executed there, or that it is too large.
func checkZip(name, arch string) error {
	archive, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer archive.Close() //nolint:errcheck // only read from
	var bootstrap *zip.File
	var total uint64
	for _, f := range archive.File {
		// subtle: a size is what the archive claims; a sum past the limit ends
		// this before it can run over.
		if total += f.UncompressedSize64; f.UncompressedSize64 > maxPackageBytes || total > maxPackageBytes {
			return fmt.Errorf("more than %d MB unpacked, which Lambda refuses", maxPackageBytes>>20)
		}
		if path.Clean(f.Name) == "bootstrap" && !f.FileInfo().IsDir() { // ./bootstrap is it, too
			bootstrap = f
		}
	}
	switch {
	case bootstrap == nil:
		return errors.New("no bootstrap in it")
	case !bootstrap.Mode().IsRegular():
		return errors.New("its bootstrap is not a regular file")
	case bootstrap.Mode()&0o005 != 0o005: // the function's user owns nothing there
		return fmt.Errorf("its bootstrap cannot be executed by everyone (%v): chmod 755 it before it is packed", bootstrap.Mode())
	}
	f, err := bootstrap.Open()
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read from
	program, err := io.ReadAll(io.LimitReader(f, maxPackageBytes))
	if err != nil {
		return err
	}
	return checkBootstrap(program, arch)
}

// checkBootstrap says why Lambda could not start a program, if that is so: a
// 64-bit Linux executable for the architecture, or a script with its
// interpreter.
func checkBootstrap(program []byte, arch string) error {
	machine, err := lambda.MachineOf(arch)
	if err != nil {
		return err
	}
	if line, ok := bytes.CutPrefix(program, []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		switch words := bytes.Fields(line); {
		case bytes.HasSuffix(line, []byte("\r")):
			return errors.New("its bootstrap is a script with Windows line ends, which no interpreter takes")
		case len(words) == 0 || !bytes.HasPrefix(words[0], []byte("/")):
			return errors.New("its bootstrap is a script whose first line names no interpreter, as in #!/bin/sh")
		}
		return nil
	}
	binary, err := elf.NewFile(bytes.NewReader(program))
	switch {
	case len(program) == 0:
		return errors.New("its bootstrap is empty")
	case err != nil:
		return errors.New("its bootstrap is neither a Linux executable nor a script with #! at its beginning")
	case binary.Machine != machine.ELF:
		return fmt.Errorf("its bootstrap is for %s", binary.Machine)
	case binary.Class != elf.ELFCLASS64 || binary.Type != elf.ET_EXEC && binary.Type != elf.ET_DYN:
		return fmt.Errorf("its bootstrap is %s, %s: not an executable for Lambda", binary.Class, binary.Type)
	case binary.OSABI != elf.ELFOSABI_NONE && binary.OSABI != elf.ELFOSABI_LINUX:
		return fmt.Errorf("its bootstrap is for %s, not for Linux", binary.OSABI)
	}
	if loader := dynamicLoader(binary); loader != "" && loader != machine.Loader && !strings.HasPrefix(loader, "/var/task/") {
		return fmt.Errorf("its bootstrap needs the dynamic loader %s, which Lambda does not have: link it statically, or with glibc", loader)
	}
	return nil
}

// dynamicLoader is the program that the kernel starts an executable with; empty
// where it is linked statically.
func dynamicLoader(binary *elf.File) string {
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP {
			if name, err := io.ReadAll(io.LimitReader(p.Open(), 4096)); err == nil {
				return string(bytes.TrimRight(name, "\x00"))
			}
		}
	}
	return ""
}
